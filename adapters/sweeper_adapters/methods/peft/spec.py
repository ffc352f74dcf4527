"""Any tuner of PEFT as a method: its type, and the fields of its config."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sweeper_adapters.methods._base import SEVEN_TARGETS, AnyMethodSpec, MethodSpec
from sweeper_adapters.methods._facts import EngineFacts, Linear, ModelShape
from sweeper_adapters.methods._sizing import find_nearest
from sweeper_adapters.methods.p_tuning.spec import count_prompt_encoder
from sweeper_adapters.methods.peft.checking import completed, read_type
from sweeper_adapters.methods.peft.facts import TypeFacts, facts_of
from sweeper_adapters.methods.peft.fitting import misfits, treats_layers_alike
from sweeper_adapters.methods.peft.table import known_types

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

    from sweeper_adapters.training import Training

__all__ = ["PeftSpec"]


class PeftSpec(MethodSpec):
    """Any tuner of PEFT, by its ``type`` and the fields of its config.

    The fields are those of PEFT's config class, under PEFT's names, so that each may be searched:
    ``{name: peft, type: VERA, r: {choice: [64, 256]}}``. Only its ``target_modules`` are called
    ``targets``, as for all methods. What is not given is PEFT's default, which is part of the
    trial: a later PEFT with another default makes another trial of it. The page on [the types of
    PEFT](peft-types.md) has what each one takes, which field a budget sets, and which types are
    refused and why.
    """

    model_config = ConfigDict(extra="allow")

    source: ClassVar[str] = "PEFT's tuner of the type; PEFT's documentation names its paper"
    label_fields: ClassVar[tuple[str, ...]] = ("name", "type")
    scale_fields: ClassVar[tuple[str, ...]] = ("alpha_pattern",)

    name: Literal["peft"] = "peft"
    """Tag of this method."""
    type: str
    """PEFT's type of adapter, such as ``VERA``, in capitals or not."""
    targets: tuple[str, ...] = Field(default=(), exclude_if=lambda targets: not targets)
    """Layers that get an adapter, by the last part of their module name; seven linear layers where
    it is not given. Types that adapt no layers have none."""

    @model_validator(mode="before")
    @classmethod
    def _fields_are_of_the_type(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        return completed(values, title=cls.__name__, targets=SEVEN_TARGETS)

    @classmethod
    def label_of(cls, entry: Mapping[str, object]) -> str:
        """Returns ``peft_`` and the type, ``peft_vera``: two types are two methods.

        Args:
            entry: fields of the method, be they right or not.
        """
        kind = entry.get("type")
        return f"peft_{kind.strip().lower()}" if isinstance(kind, str) else "peft"

    @classmethod
    def size_fields_of(cls, entry: Mapping[str, object]) -> tuple[str, ...]:
        """Returns the field that a budget sets of the type, none if it has none."""
        kind = read_type(entry.get("type"))
        size = None if kind is None else facts_of(kind).size
        return () if size is None else (size,)

    @classmethod
    def scale_field_of(cls, entry: Mapping[str, object]) -> str | None:
        """Returns the alpha of the type, where it has one and a rank that a budget sets."""
        kind = read_type(entry.get("type"))
        if kind is None or facts_of(kind).size is None:
            return None
        return next((x for x in ("lora_alpha", "alpha") if x in known_types()[kind].fields), None)

    def scaled(self, alpha_per_rank: float) -> Self:
        """Returns it with alpha a multiple of the rank, in each layer; whole where PEFT's is whole.

        Args:
            alpha_per_rank: alpha divided by the rank, above 0.
        """
        field = self.scale_field
        if field is None:
            return self
        is_whole = isinstance(getattr(self, field), int)

        def alpha(rank: int) -> float:
            return max(1, round(alpha_per_rank * rank)) if is_whole else alpha_per_rank * rank

        changed: dict[str, object] = {field: alpha(getattr(self, self.size_field))}
        ranks = self.fields.get("rank_pattern")
        if isinstance(ranks, dict) and "alpha_pattern" in known_types()[self.type].fields:
            changed["alpha_pattern"] = {key: alpha(rank) for key, rank in ranks.items()}
        return self.model_copy(update=changed)

    def update_scale(self) -> float | None:
        """Returns alpha divided by the rank, or by its root where the type is told so."""
        scale = self.alpha_per_rank()
        if scale is None or self.fields.get("use_rslora") is not True:
            return scale
        return scale * math.sqrt(getattr(self, self.size_field))

    @property
    def scale_field(self) -> str | None:  # type: ignore[override]  # read alike
        """The field that is divided by the rank; None where the type has none."""
        return self.scale_field_of({"type": self.type})

    @property
    def facts(self) -> TypeFacts:
        """What is known of its type."""
        return facts_of(self.type)

    @property
    def fields(self) -> dict[str, object]:
        """The fields of PEFT's config, but for the targets; nothing where PEFT's is nothing."""
        return dict(self.model_extra or {})

    # What is a fact of the class for other methods is one of the type here.

    @property
    def size_field(self) -> str:  # type: ignore[override]  # read alike
        """The field that a budget turns; empty where the type has none."""
        return self.facts.size or ""

    @property
    def adapts_layers(self) -> bool:  # type: ignore[override]  # read alike
        """Whether it puts adapters in the place of linear layers."""
        return self.facts.targets is None

    @property
    def start_tolerance(self) -> float | None:  # type: ignore[override]  # read alike
        """How far the outputs may be from the base's right after injection."""
        return None if self._has_other_start else self.facts.start_tolerance

    @property
    def start_depends_on_seed(self) -> bool:  # type: ignore[override]  # read alike
        """Whether two seeds give two adapters."""
        return self.facts.depends_on_seed

    @property
    def changes_base(self) -> bool:  # type: ignore[override]  # read alike
        """Whether frozen weights must be put back: of what starts otherwise it is not known."""
        return self.facts.changes_base or self._has_other_start

    @property
    def is_mergeable(self) -> bool:
        """Whether PEFT adds it to the frozen weights without loss."""
        return self.facts.is_mergeable

    @property
    def is_counted_by_shape(self) -> bool:
        """Whether the shape of a model has all that its size hangs on."""
        return self.facts.is_counted_by_shape

    @property
    def is_packable(self) -> bool:
        """False where it adds to each row."""
        return not self.facts.is_prompt

    @property
    def tokens_before(self) -> int:
        """The virtual tokens, if it has some."""
        return int(str(self.fields.get("num_virtual_tokens", 0))) if self.facts.is_prompt else 0

    @property
    def _has_other_start(self) -> bool:
        """Whether a field that says how it starts is not PEFT's default."""
        known = known_types()[self.type].fields
        return any(
            value != self.facts.defaults.get(name, known[name].default)
            for name, value in self.fields.items()
            if "init" in name and (isinstance(value, bool | str))
        )

    def resolved(self, shape: ModelShape) -> Self:
        """Returns this method with the names of layers in the place of groups of them.

        Fields that hang on the names, such as IA3's ``feedforward_modules``, are then known, too.
        """
        named = super().resolved(shape)
        return self if named is self else type(self).model_validate(dict(named))

    def problems(self, shape: ModelShape) -> list[tuple[str, str]]:
        """Returns (field, message) for all that keeps this method from being used on ``shape``."""
        found = list(misfits(self.fields, shape))
        if not self.adapts_layers:
            return found
        found += self._target_problems(shape)
        return found or list(self._size_problems(shape))

    def engine_problems(self, engine: EngineFacts) -> list[tuple[str, str]]:
        """Returns a problem where ZeRO-3 would cut weights that a tuner may read for itself."""
        if engine.zero_stage < 3 or self.facts.reads_no_weights:
            return []
        return [
            (
                "type",
                f"{self.type} has not been tried with zero_stage 3, which cuts the frozen weights "
                "into shards: PEFT's layers may read them whole; take zero_stage 0, 1 or 2",
            )
        ]

    def count(self, shape: ModelShape) -> int:
        """Returns the trained parameters, counted on layers without values.

        Raises:
            ValueError: PEFT cannot build it on such layers.
        """
        match self.type:
            case "PROMPT_TUNING" | "P_TUNING":
                return self._count_prompt(shape)
            case "ADAPTION_PROMPT":
                # A vector for each position of each layer, and a gate.
                positions, layers = (int(str(self.fields[x])) for x in self.facts.required)
                return layers * (positions * shape.hidden_size + 1)
            case "TRAINABLE_TOKENS":
                tokens = self.fields["token_indices"]
                return shape.hidden_size * len(tokens if isinstance(tokens, list) else ())
            case "LN_TUNING":
                # Of a family with two norms in each layer and one at the end.
                return shape.hidden_size * (2 * shape.layers + 1)
        return self._counted(shape, layers=shape.layers)

    def sizes(self) -> Mapping[str, object]:
        """Returns the field that sets the size, and its value; nothing where there is none."""
        return {self.size_field: self.fields[self.size_field]} if self.facts.size else {}

    def at_size(self, size: int) -> Self | None:
        """Returns this method with another size, or None where its field does not take it."""
        return super().at_size(size * self._size_step) if self.facts.size else None

    def resized(self, shape: ModelShape, parameters: int) -> Self:
        """Returns this method with the size that comes nearest to a number of parameters.

        A type without a field of size stays as it is. Of fields that must divide the widths of
        layers each divisor is tried.

        Args:
            shape: of the model.
            parameters: trainable parameters wished for.
        """
        if self.facts.size is None:
            return self
        if not self.facts.is_divisor:
            near = self._at_affine_size(shape, parameters) if self.facts.is_affine else None
            return near or find_nearest(self.at_size, shape, parameters)
        tried = filter(None, map(self.at_size, _divisors(self.adapted(shape))))
        possible = [spec for spec in tried if not spec.problems(shape)]
        return min(possible, key=lambda x: abs(x.count(shape) - parameters), default=self)

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's config of the type."""
        from peft import (
            PEFT_TYPE_TO_CONFIG_MAPPING,
            PeftType,
            PromptEncoderReparameterizationType,
        )

        given: dict[str, Any] = {name: _copied(value) for name, value in self.fields.items()}
        if self.targets:
            given["target_modules"] = list(self.targets)
        if self.type == "P_TUNING":
            # PEFT asks the kind of encoder for its value, which a text has not.
            kind = PromptEncoderReparameterizationType(given["encoder_reparameterization_type"])
            given["encoder_reparameterization_type"] = kind
        config: PeftConfig = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(self.type)](
            task_type="CAUSAL_LM", **given
        )
        if self.type == "SHIRA":
            from sweeper_adapters.methods.peft.masks import mask_of

            # An attribute of the object and no field of the config.
            config.mask_fn = mask_of  # type: ignore[attr-defined]
        return config

    def inject(self, model: PreTrainedModel, *, seed: int) -> PeftModel:
        """Returns ``model`` with the adapter in it; only the adapter's parameters require grad.

        Raises:
            ValueError: a target matches no layer, or speaks of experts' stacked weights, too.
        """
        if not self.adapts_layers:
            return AnyMethodSpec.inject(self, model, seed=seed)
        if not (self.facts.is_built_on_cpu and next(model.parameters()).is_meta):
            return super().inject(model, seed=seed)
        import torch

        # What is trained is put where the layers are.
        with torch.device("cpu"):
            return super().inject(model, seed=seed)

    def _hooks(self, model: PeftModel, *, steps: int) -> Training:
        """Returns the hooks that count virtual tokens in, or make buffers fit the parameters."""
        if self.facts.is_prompt:
            from sweeper_adapters.methods.prompt_tuning.training import PromptTraining

            return PromptTraining(model)
        from sweeper_adapters.methods.peft.training import PeftTraining

        del steps  # no schedule of its own
        return PeftTraining(model)

    @property
    def _size_step(self) -> int:
        """What the field of size is a multiple of."""
        step = self.facts.size_step
        return 1 if step is None else int(str(self.fields[step]))

    def _at_affine_size(self, shape: ModelShape, parameters: int) -> Self | None:
        """Returns it in the nearest size by a line through two; None where that is no size."""
        small, next_one = self.at_size(1), self.at_size(2)
        if small is None or next_one is None or small.problems(shape):
            return None
        first = small.count(shape)
        each = next_one.count(shape) - first
        # Of two that are equally near the smaller one.
        wanted = 1 + -(-(2 * (parameters - first) - each) // (2 * each)) if each else 1
        most = self.facts.limit(_widths(self.adapted(shape))) if self.adapts_layers else wanted
        found = self.at_size(max(1, min(wanted, most // self._size_step)))
        return None if found is None or found.problems(shape) else found

    def _count_prompt(self, shape: ModelShape) -> int:
        tokens = self.tokens_before
        if self.type == "PROMPT_TUNING":
            return tokens * shape.hidden_size
        fields, width = self.fields, shape.hidden_size
        return count_prompt_encoder(
            width,
            tokens=tokens,
            encoder="lstm" if fields["encoder_reparameterization_type"] == "LSTM" else "mlp",
            size=int(str(fields.get("encoder_hidden_size", width))),
            layers=int(str(fields["encoder_num_layers"])),
        )

    def _counted(self, shape: ModelShape, *, layers: int) -> int:
        # A spec holds lists, by which nothing can be looked up, so it is passed as text.
        return _count(self.model_dump_json(), shape, layers)

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        size, widths = self.facts.size, _widths(self.adapted(shape))
        value = self.fields.get(size) if size else None
        if size and isinstance(value, int):
            limit = self.facts.limit(widths)
            if not 1 <= value <= limit:
                yield size, f"{size} is {value}; allowed on this model is 1 to {limit}; change it"
                return
        # One layer tells of all, where they are treated alike.
        layers = 1 if treats_layers_alike(self.fields) else shape.layers
        try:
            trained = self._counted(shape, layers=layers)
        except ValueError as error:
            yield size or "type", f"PEFT cannot build {self.type} on the model's layers: {error}"
            return
        if not trained:
            yield (
                "type",
                f"{self.type} with these fields trains no parameter; it must train one at least; "
                "change the fields that turn its parts off",
            )


@lru_cache(maxsize=1000)
def _count(spec_json: str, shape: ModelShape, layers: int) -> int:
    """Returns what a spec trains on so many layers of a shape; each is built once."""
    from sweeper_adapters.methods.peft.counting import count_trained

    spec = PeftSpec.model_validate_json(spec_json)
    return count_trained(
        spec.peft_config,
        shape,
        is_uniform=spec.facts.is_uniform and treats_layers_alike(spec.fields),
        at_most=layers,
        device="cpu" if spec.facts.is_built_on_cpu else "meta",
    )


def _copied(value: object) -> object:
    """Returns a value that PEFT may write into."""
    return value.copy() if isinstance(value, list | dict) else value


def _widths(linears: list[Linear]) -> list[tuple[int, int]]:
    return [(linear.in_features, linear.out_features) for linear in linears]


def _divisors(linears: list[Linear]) -> list[int]:
    """Returns what divides some width of the layers."""
    widths = {width for pair in _widths(linears) for width in pair}
    return [n for n in range(1, max(widths) + 1) if any(width % n == 0 for width in widths)]
