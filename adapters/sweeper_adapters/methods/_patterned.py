"""What methods have whose layers may each have a rank of its own, by patterns of their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, field_validator

from sweeper_adapters._patterns import demand_patterns, describe_misfits, has_match, value_of
from sweeper_adapters._targets import demand_targets
from sweeper_adapters.methods._facts import Linear, ModelShape
from sweeper_adapters.methods._low_rank import LowRankSpec
from sweeper_adapters.methods._sizing import rank_problems

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

__all__ = ["PatternedSpec"]

_FIELDS = ("rank_pattern", "alpha_pattern")


class PatternedSpec(LowRankSpec):
    """What methods have whose layers may each have a rank and an alpha of its own.

    A method that shares matrices among layers has one rank for all that share, and no such fields.
    PEFT's HiRA has a ``rank_pattern`` that it does not obey (PEFT 0.21, tuners/hira/layer.py).
    """

    scale_fields: ClassVar[tuple[str, ...]] = ("alpha_pattern",)

    rank_pattern: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={}, exclude_if=lambda pattern: not pattern
    )
    r"""Ranks of layers that have another one than ``rank``, as in PEFT: ``{q_proj: 16}``. A key is
    a regular expression of a layer's whole name or of its end: ``layers\.[0-3]\..*_proj`` means
    the first four layers. Each must match a layer; two that match one layer must agree. A budget
    turns ``rank`` and leaves these."""
    alpha_pattern: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, exclude_if=lambda pattern: not pattern
    )
    """Alphas of layers that have another one than ``alpha``, by keys as in ``rank_pattern``. Where
    it says nothing of a layer with a rank of its own, that layer's scale is ``alpha`` divided by
    that rank. ``alpha_per_rank`` of a budget sets it."""

    @field_validator(*_FIELDS, mode="before")
    @classmethod
    def _keys_are_expressions(cls, value: object) -> object:
        return _require_pattern(value)

    def __hash__(self) -> int:
        """Returns the same for equal specs; the order of keys in a pattern is of no meaning."""
        values = [getattr(self, name) for name in type(self).model_fields]
        return hash(tuple(frozenset(x.items()) if isinstance(x, dict) else x for x in values))

    def problems(self, shape: ModelShape) -> list[tuple[str, str]]:
        """Returns (field, message) for all that keeps this method from being used on ``shape``."""
        return [*super().problems(shape), *self._pattern_problems(shape)]

    def why_not_sized(self, shape: ModelShape) -> str:
        """Returns why no budget can size it: each of its layers has a rank by a pattern."""
        layers = list(self._named_layers(shape))
        if not layers or any(self._has_usual_rank(name) for name, _ in layers):
            return ""
        return (
            f"cannot size {self.label}: its rank_pattern, {self.rank_pattern}, gives every layer a "
            "rank, so that none has the rank that a budget sets; allowed with a budget is a "
            "pattern that leaves layers out; take a key out of it, or leave out the budget: "
            "--set budget=null"
        )

    def scaled(self, alpha_per_rank: float) -> Self:
        """Returns this method with the alpha of each layer at a multiple of that layer's rank.

        Args:
            alpha_per_rank: alpha divided by the rank, above 0.
        """
        alphas = {key: alpha_per_rank * rank for key, rank in self.rank_pattern.items()}
        return super().scaled(alpha_per_rank).model_copy(update={"alpha_pattern": alphas})

    def inject(self, model: PreTrainedModel, *, seed: int) -> PeftModel:
        """Returns ``model`` with the adapter in it; only the adapter's parameters require grad.

        Raises:
            ValueError: a target or a key of a pattern matches no layer, or two keys give one layer
                two values.
        """
        if self.rank_pattern or self.alpha_pattern:
            demand_targets(model, self.targets)
            demand_patterns(model, self.peft_config(), _FIELDS)
        return super().inject(model, seed=seed)

    def _layer_indices(self, shape: ModelShape) -> Sequence[int]:
        """Returns which decoder layers get adapters."""
        return range(shape.layers)

    def _named_layers(self, shape: ModelShape) -> Iterator[tuple[str, Linear]]:
        """Yields each linear layer that gets an adapter, with its name in the model."""
        linears = self.adapted(shape)
        for index in self._layer_indices(shape):
            for linear in linears:
                yield f"{shape.stack}.{index}.{linear.path or linear.name}", linear

    def _has_usual_rank(self, name: str) -> bool:
        return not any(has_match(key, name) for key in self.rank_pattern)

    def _count_factors(self, shape: ModelShape) -> int:
        """Returns the parameters of a pair of matrices A and B at each target."""
        if not self.rank_pattern:
            widths = sum(x.in_features + x.out_features for x in self.adapted(shape))
            return len(self._layer_indices(shape)) * self.rank * widths
        return sum(
            value_of(self.rank_pattern, name, self.rank) * (x.in_features + x.out_features)
            for name, x in self._named_layers(shape)
        )

    def _rank_problems(
        self, shape: ModelShape, *, rank: int, field: str = "rank"
    ) -> Iterator[tuple[str, str]]:
        """Yields a problem where a layer cannot have ``rank``, or that of its pattern."""
        if not self.rank_pattern:
            yield from self._limit_problems(self.adapted(shape), rank=rank, field=field)
            return
        layers = list(self._named_layers(shape))
        usual = [x for name, x in layers if self._has_usual_rank(name)]
        yield from self._limit_problems(usual, rank=rank, field=field)
        for key, given in self.rank_pattern.items():
            matched = [x for name, x in layers if has_match(key, name)]
            for _, text in self._limit_problems(matched, rank=given, field=f"rank of {key!r}"):
                yield "rank_pattern", text

    def _limit_problems(
        self, linears: Sequence[Linear], *, rank: int, field: str
    ) -> Iterator[tuple[str, str]]:
        """Yields a problem where one of some layers cannot have ``rank``, naming ``field``."""
        return rank_problems(linears, rank=rank, field=field)

    def _pattern_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        given = [field for field in _FIELDS if getattr(self, field)]
        # Layers of several lists are looked at in the model itself.
        names = [x for x, _ in self._named_layers(shape)] if given and shape.stack else []
        for field in given if names else ():
            for text in describe_misfits(field, getattr(self, field), names):
                yield field, text


def _require_pattern(value: object) -> object:
    """Refuses a mapping that is not from regular expressions to numbers; pydantic sees to the rest.

    Raises:
        ValueError: with all that is wrong.
    """
    wrong = list(_list_wrong(value)) if isinstance(value, Mapping) else []
    if wrong:
        raise ValueError("; ".join(wrong))
    return value


def _list_wrong(pattern: Mapping[object, object]) -> Iterator[str]:
    for key, value in pattern.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            yield (
                f"the value of {key!r} is {value!r}; allowed is a number above 0; write it without "
                "quotes, or search the whole field with {choice: [{q_proj: 8}, {q_proj: 16}]}"
            )
        try:
            re.compile(f"({key})$")
        except re.error as error:
            yield (
                f"the key {key!r} is no regular expression ({error}); a key is one of the end of "
                "a layer's name, such as q_proj; correct it"
            )
