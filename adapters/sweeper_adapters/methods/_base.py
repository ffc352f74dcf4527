"""What every method's spec has, and what those have that adapt layers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from sweeper_adapters._targets import demand_no_stacked, demand_targets, describe_known
from sweeper_adapters.methods._facts import GROUPS, EngineFacts, Linear, ModelShape
from sweeper_adapters.methods._named_tuner import Tuner
from sweeper_adapters.methods._numbers import require_numbers
from sweeper_adapters.methods._sizing import find_nearest, rank_problems

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

    from sweeper_adapters.training import Training

__all__ = ["AnyMethodSpec", "MethodSpec"]

SEVEN_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FIVE_TARGETS = ("q_proj", "k_proj", "v_proj", "up_proj", "down_proj")


class AnyMethodSpec(BaseModel):
    """What every method has: its size, what it needs, and what it makes of a model."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    source: ClassVar[str]
    """Paper and equation, table or section that the method comes from."""
    tuner: ClassVar[Tuner | None] = None
    """The tuner of this package that runs it; None where PEFT has it."""
    size_field: ClassVar[str] = "rank"
    """The field that a parameter budget turns; the number of parameters grows with it."""
    size_fields: ClassVar[tuple[str, ...]] = ()
    """Other fields that set the size in its place."""
    scale_field: ClassVar[str | None] = None
    """The field that is divided by the rank, to scale the update; None where there is none."""
    scale_fields: ClassVar[tuple[str, ...]] = ()
    """Other fields that set the scale beside it, of some layers."""
    adapts_layers: ClassVar[bool] = False
    """Whether it puts adapters in the place of layers; else it leaves the layers alone."""
    start_tolerance: ClassVar[float | None] = 0.0
    """How far the outputs of a float32 model may be from the base's right after injection, relative
    to the largest: 0 is to the bit, more is rounding. None where training starts elsewhere."""
    start_depends_on_seed: ClassVar[bool] = True
    """Whether two seeds give two adapters; false where the initial values are constants."""
    needs_all_steps: ClassVar[bool] = False
    """Whether its training is laid out over all steps: ended early, it is not what was asked."""
    changes_base: ClassVar[bool] = False
    """Whether injecting or training it changes frozen weights, which then must be put back."""

    learned_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields of the saved PEFT config that training sets; the others follow from this spec."""
    label_fields: ClassVar[tuple[str, ...]] = ("name",)
    """Fields that say which method it is; they cannot be searched."""

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, values: object) -> object:
        require_numbers(cls, values)
        return values

    @classmethod
    def control_of(
        cls,
        method: AnyMethodSpec,  # noqa: ARG003 - most methods are no control arm
    ) -> Self | None:
        """Returns the control arm of this kind that ``method`` owes a comparison, else None."""
        return None

    @classmethod
    def label_of(cls, entry: Mapping[str, object]) -> str:
        """Returns what the method of a file's entry is called in points, records and reports.

        Args:
            entry: fields of the method, be they right or not.
        """
        return str(entry.get("name"))

    @property
    def label(self) -> str:
        """What it is called in points, records and reports: its name, if that says which one."""
        return self.label_of(dict(self))

    @classmethod
    def size_fields_of(
        cls,
        entry: Mapping[str, object],  # noqa: ARG003 - most methods have the same for all
    ) -> tuple[str, ...]:
        """Returns the fields that a budget sets, of the method of a file's entry."""
        return (cls.size_field, *cls.size_fields)

    @classmethod
    def scale_field_of(
        cls,
        entry: Mapping[str, object],  # noqa: ARG003 - most methods have the same for all
    ) -> str | None:
        """Returns the field that is divided by the rank, of the method of a file's entry."""
        return cls.scale_field

    @property
    def is_counted_by_shape(self) -> bool:
        """Whether :meth:`count` is right; else the adapter is put into the model and counted."""
        return True

    @property
    def is_mergeable(self) -> bool:
        """Whether the trained adapter can be added to the frozen weights without loss."""
        return True

    @property
    def exports_lora(self) -> bool:
        """Whether the trained adapter is exactly a LoRA of some rank."""
        return False

    @property
    def saves_as_trained(self) -> bool:
        """Whether the adapter file holds what is trained, so that it can be trained on.

        Else it holds what that comes to: the same outputs, up to rounding.
        """
        return True

    @property
    def needs_task_ids(self) -> bool:
        """Whether it must know which task each example belongs to."""
        return False

    @property
    def has_own_moments(self) -> bool:
        """Whether it keeps AdamW's moments itself, with betas of 0.9 and 0.999."""
        return False

    @property
    def answers_by_task(self) -> bool:
        """Whether what the trained adapter computes depends on the task of an example."""
        return self.needs_task_ids

    @property
    def is_packable(self) -> bool:
        """Whether rows may hold several examples: not where it treats the rows of a batch apart."""
        return not self.needs_task_ids

    @property
    def tokens_before(self) -> int:
        """How many positions of the model it takes before each text."""
        return 0

    @property
    def idle_fields(self) -> frozenset[str]:
        """Fields whose value changes nothing beside the values of the other fields."""
        return frozenset()

    def problems(self, shape: ModelShape) -> list[tuple[str, str]]:
        """Returns (field, message) for all that keeps this method from being used on ``shape``."""
        return list(self._size_problems(shape))

    def engine_problems(
        self,
        engine: EngineFacts,  # noqa: ARG002 - most methods train on anything
    ) -> list[tuple[str, str]]:
        """Returns (field, message) for all that keeps it from being trained in this way."""
        return []

    def task_ids(self, domains: Sequence[str]) -> tuple[int, ...]:
        """Returns the task id of each domain of the data.

        Args:
            domains: names, sorted, each once; a single empty name where the data has none.

        Raises:
            ValueError: this method needs task ids and cannot have them from these.
        """
        return tuple(range(len(domains)))

    @abstractmethod
    def count(self, shape: ModelShape) -> int:
        """Returns the number of trainable parameters on a model of this shape, by formula."""

    @property
    def hangs_on_shape(self) -> bool:
        """Whether :meth:`resolved` may change it."""
        return False

    def resolved(
        self,
        shape: ModelShape,  # noqa: ARG002 - most fields hang on no model
    ) -> Self:
        """Returns this method with what hangs on a model's shape as the model has it."""
        return self

    def resized(self, shape: ModelShape, parameters: int) -> Self:
        """Returns this method with the size that comes nearest to a number of parameters.

        Of two sizes that are equally near it is the smaller one. A size that the model does not
        allow (see :meth:`problems`) is not taken.

        Args:
            shape: of the model.
            parameters: trainable parameters wished for.
        """
        return find_nearest(self.at_size, shape, parameters)

    def parameters(self) -> dict[str, object]:
        """Returns all fields in the types of JSON, as trials are compared by them.

        Also those that are left out of what is written; but not what says which method it is.
        """
        written = self.model_dump(mode="json")
        fields = [field for field in self if field[0] not in self.label_fields]
        return {name: written.get(name, value) for name, value in fields}

    def why_not_sized(
        self,
        shape: ModelShape,  # noqa: ARG002 - most fields of size count on any model
    ) -> str:
        """Returns why no budget can size it on a model of this shape; empty where one can."""
        return ""

    def sizes(self) -> Mapping[str, object]:
        """Returns the field that sets the size, and its value."""
        return {self.size_field: getattr(self, self.size_field)}

    def at_size(self, size: int) -> Self | None:
        """Returns this method with another size, or None where its field does not take it."""
        fields = dict(self) | dict.fromkeys(self.size_fields)
        try:
            return type(self).model_validate({**fields, self.size_field: size})
        except ValidationError:
            return None

    def alpha_per_rank(self) -> float | None:
        """Returns alpha divided by the rank; None where there is no alpha."""
        if self.scale_field is None:
            return None
        return float(getattr(self, self.scale_field) / getattr(self, self.size_field))

    def update_scale(self) -> float | None:
        """Returns what the update is multiplied by: alpha / rank; None where there is no alpha."""
        return self.alpha_per_rank()

    def scaled(self, alpha_per_rank: float) -> Self:
        """Returns this method with its alpha at a multiple of its rank, if it has an alpha."""
        if self.scale_field is None:
            return self
        alpha = alpha_per_rank * getattr(self, self.size_field)
        return self.model_copy(update={self.scale_field: alpha})

    @abstractmethod
    def peft_config(self) -> PeftConfig:
        """Returns the PEFT config of this method."""

    def saved_shapes(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        learned: Mapping[str, object],  # noqa: ARG002 - most methods learn no sizes
    ) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the tensors in a trained adapter's file, by their keys.

        Args:
            shapes: those before training has changed any.
            learned: values of :attr:`learned_fields` in the config beside the file; not checked.

        Raises:
            ValueError: training cannot have set such values.
        """
        return dict(shapes)

    def prepare_base(self, model: PreTrainedModel) -> None:
        """Makes of a base what the adapter is trained on; before it is injected, or loaded."""

    def inject(self, model: PreTrainedModel, *, seed: int) -> PeftModel:
        """Returns ``model`` with the adapter in it; only the adapter's parameters require grad.

        Seeds torch's global generator, so that the initial values depend on ``seed`` alone.
        The adapter's parameters are float32 also on a 16-bit base, as PEFT does by default.
        """
        import torch
        from peft import get_peft_model

        self.prepare_base(model)
        torch.manual_seed(seed)
        return get_peft_model(model, self.peft_config())

    def training(self, model: PeftModel, *, steps: int) -> Training:
        """Returns what training does for this method besides forward and backward passes.

        Args:
            model: what :meth:`inject` returned, on its device, not yet in an engine.
            steps: optimiser steps of the whole training.
        """
        return self._hooks(model, steps=steps)

    def _hooks(
        self,
        model: PeftModel,
        *,
        steps: int,  # noqa: ARG002 - for methods that have a schedule of their own
    ) -> Training:
        """Returns the method's own hooks; what several methods have is added to them."""
        from sweeper_adapters.training import Training

        return Training(model)

    @abstractmethod
    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        """Yields (field, message) for all that is wrong with the size of the method on a model."""


class MethodSpec(AnyMethodSpec):
    """What a method has that adapts linear layers."""

    adapts_layers: ClassVar[bool] = True

    targets: tuple[str, ...] = Field(default=SEVEN_TARGETS, min_length=1)
    """Linear layers that get an adapter, by the last part of their module name, or by groups:
    ``attention``, ``mlp``, ``all-linear``. A trial has the names that a group stands for."""

    @field_validator("targets", mode="before")
    @classmethod
    def _group_may_stand_alone(cls, targets: object) -> object:
        return (targets,) if isinstance(targets, str) and targets in GROUPS else targets

    @property
    def hangs_on_shape(self) -> bool:
        """Whether a group of layers is among the targets."""
        return any(target in GROUPS for target in self.targets)

    def resolved(self, shape: ModelShape) -> Self:
        """Returns this method with the names of layers in the place of groups of them."""
        targets = shape.expand(self.targets)
        return self if targets == self.targets else self.model_copy(update={"targets": targets})

    def problems(self, shape: ModelShape) -> list[tuple[str, str]]:
        """Returns (field, message) for all that keeps this method from being used on ``shape``."""
        return [*self._target_problems(shape), *self._size_problems(shape)]

    def inject(self, model: PreTrainedModel, *, seed: int) -> PeftModel:
        """Returns ``model`` with the adapter in it; only the adapter's parameters require grad.

        Seeds torch's global generator, so that the initial values depend on ``seed`` alone.
        The adapter's parameters are float32 also on a 16-bit base, as PEFT does by default.

        Raises:
            ValueError: a target matches no layer, and the message has the names that are near; or
                it speaks of experts' stacked weights, too, which get no adapter.
        """
        demand_targets(model, self.targets)
        demand_no_stacked(model, self.targets)
        adapted = super().inject(model, seed=seed)
        # PEFT makes them of the names of a mixture's layers before transformers 5.
        parameters = getattr(adapted.active_peft_config, "target_parameters", None)
        if parameters:
            raise ValueError(
                f"PEFT has put adapters on the stacked weights {', '.join(sorted(parameters))} in "
                f"the place of targets {', '.join(self.targets)}; allowed are names of linear "
                "layers of which it does not do so; leave those of experts out of targets"
            )
        return adapted

    def adapted(self, shape: ModelShape) -> list[Linear]:
        """Returns the linear layers of one decoder layer that get an adapter."""
        return [
            linear
            for linear in shape.linears
            if any(linear.is_named(target) for target in self.targets)
        ]

    def _target_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        known = [linear.name for linear in shape.linears]
        for target in self.targets:
            if any(linear.is_named(target) for linear in shape.linears):
                continue
            yield (
                "targets",
                f"target {target!r} matches no linear layer of the model; "
                f"{describe_known([target], known)}",
            )

    def _rank_problems(
        self, shape: ModelShape, *, rank: int, field: str = "rank"
    ) -> Iterator[tuple[str, str]]:
        """Yields a problem where a matrix of ``rank`` cannot have it, naming ``field``."""
        yield from rank_problems(self.adapted(shape), rank=rank, field=field)
