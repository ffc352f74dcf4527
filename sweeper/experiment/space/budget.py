"""Parameter parity: every method takes the size that comes nearest to one budget.

``budget: {match: lora, rank: 32}`` is as many parameters as LoRA of that rank has on the same
layers; ``budget: {params: 0.52%}`` is a share of all parameters, as the papers count it, and
``budget: {params: 42000000}`` a number. What a method turns is its ``size_field``. Where the budget
changes a rank and alpha stays, the scale alpha / rank differs from method to method:
``alpha_per_rank`` keeps it the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field, field_validator

from sweeper._spec import Spec
from sweeper_adapters.methods import (
    LoraSpec,
    Method,
    MethodSpec,
    ModelShape,
    PeftSpec,
    kind_of,
    size_fields_of,
)

__all__ = [
    "BUDGETS",
    "Budget",
    "BudgetFit",
    "MatchBudget",
    "ParamsBudget",
    "fields_set_by",
    "fit_to_budget",
]

_PERCENT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*")


class _SizeBudget(Spec):
    """What both forms of a budget have."""

    alpha_per_rank: Annotated[float | None, Field(gt=0, le=10_000)] = None
    """``alpha`` of every method that has one, divided by its rank in the budget's size: with 2 all
    updates have the scale 2. Where ``null`` each method keeps its own alpha, and the scale changes
    with the rank that the budget chooses. A method that divides by the root of the rank (rsLoRA)
    has no such scale."""

    def scale_problems(self, method: Method) -> Iterator[tuple[str, str]]:
        """Yields (field, message) where the rule would not set the scale of ``method``."""
        root = _root_of(method)
        if self.alpha_per_rank is not None and root is not None:
            yield (
                "alpha_per_rank",
                f"is {self.alpha_per_rank:g}, but {method.label} has {root} and divides its alpha "
                "by the root of the rank, so that its scale would be another one; leave "
                f"{root.partition(':')[0]} out, or budget.alpha_per_rank",
            )


class MatchBudget(_SizeBudget):
    """As many parameters as another method has: ``{match: lora, rank: 32}``."""

    match: Literal["lora"]
    """The method whose number of parameters is the budget."""
    rank: Annotated[int, Field(ge=1)]
    """Its rank."""
    targets: Annotated[tuple[str, ...] | None, Field(min_length=1)] = None
    """Its layers; where ``null``, those of the method that is sized."""

    def parameters(self, method: Method, shape: ModelShape) -> int:
        """Returns the trainable parameters that ``method`` shall have on a model of this shape."""
        lora = self._match(method, shape)
        return 0 if lora is None else lora.count(shape)

    def problems(self, method: Method, shape: ModelShape) -> Iterator[tuple[str, str]]:
        """Yields (field, message) for what keeps this budget from being one of ``method``."""
        yield from self.scale_problems(method)
        lora = self._match(method, shape)
        if lora is None:
            yield (
                "targets",
                f"is not given, and {method.name} adapts no layers that LoRA could be "
                "counted on; give the budget the layers, targets: [q_proj, …]",
            )
        elif self.targets is not None:
            yield from (found for found in lora.problems(shape) if found[0] == "targets")

    def _match(self, method: Method, shape: ModelShape) -> LoraSpec | None:
        targets = self.targets
        if targets is None and isinstance(method, MethodSpec):
            targets = method.targets
        # One of PEFT's types may adapt no layers.
        return LoraSpec(rank=self.rank, targets=targets).resolved(shape) if targets else None


class ParamsBudget(_SizeBudget):
    """A number of parameters, or a share: ``{params: 42000000}`` or ``{params: 0.52%}``."""

    params: int | str
    """Trainable parameters, or percent of all parameters, the trained ones among them."""

    @field_validator("params", mode="before")
    @classmethod
    def _read_params(cls, value: object) -> object:
        if isinstance(value, str):
            found = _PERCENT.fullmatch(value)
            if found is not None and 0 < float(found[1]) < 100:
                return f"{found[1]}%"
            raise ValueError(_describe_params(value))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(_describe_params(value))
        if value < 1:
            raise ValueError(
                f"params is {value}, less than one parameter; a share is written with its sign, "
                f"such as 0.52%, and a number is whole, such as 42000000; write {value}% if "
                "percent is meant"
            )
        if value != int(value):
            raise ValueError(_describe_params(value))
        return int(value)

    def parameters(
        self,
        method: Method,  # noqa: ARG002 - the same for all
        shape: ModelShape,
    ) -> int:
        """Returns the trainable parameters that a method shall have on a model of this shape."""
        if isinstance(self.params, int):
            return self.params
        share = float(self.params.rstrip("%")) / 100
        return round(shape.total_parameters * share / (1 - share))

    def problems(
        self,
        method: Method,
        shape: ModelShape,  # noqa: ARG002 - any method can have any number
    ) -> Iterator[tuple[str, str]]:
        """Yields (field, message) for what keeps this budget from being one of ``method``."""
        yield from self.scale_problems(method)


Budget = MatchBudget | ParamsBudget
"""What all methods are sized to; the field that it has says which one it is."""
BUDGETS: Mapping[str, type[MatchBudget | ParamsBudget]] = {
    "match": MatchBudget,
    "params": ParamsBudget,
}


@dataclass(frozen=True)
class BudgetFit:
    """How a method meets a budget."""

    parameters: int
    """The budget, in trainable parameters."""
    sizes: Mapping[str, object]
    """The field that was chosen, and its value."""
    miss: int
    """Trainable parameters above the budget; below it where negative."""
    scale: float | None = None
    """Alpha divided by the rank of that size; None of a method without an alpha."""

    @property
    def miss_percent(self) -> float:
        """The miss in percent of the budget."""
        return 100 * self.miss / max(1, self.parameters)

    @classmethod
    def of(cls, budget: Budget, method: Method, shape: ModelShape) -> BudgetFit:
        """Returns how ``method``, sized already, meets the budget on a model of this shape."""
        parameters = budget.parameters(method, shape)
        miss = method.count(shape) - parameters
        return cls(parameters, method.sizes(), miss, method.alpha_per_rank())


def fit_to_budget(budget: Budget, method: Method, shape: ModelShape) -> Method:
    """Returns ``method`` in the size that comes nearest to the budget, and with its scale.

    Of sizes that are equally near it is the smallest; one that the model does not allow is not
    taken.
    """
    return _fit(budget, type(method), method.model_dump_json(), shape)


@lru_cache(maxsize=1000)
def _fit(budget: Budget, kind: type[Method], method_json: str, shape: ModelShape) -> Method:
    # Many points of a search differ in their training alone. A method may hold a mapping, by which
    # nothing can be looked up, so it is passed as text.
    method = kind.model_validate_json(method_json)
    sized = method.resized(shape, budget.parameters(method, shape))
    return sized if budget.alpha_per_rank is None else sized.scaled(budget.alpha_per_rank)


def fields_set_by(budget: object, entry: object) -> tuple[str, ...]:
    """Returns the fields of a method of a file that a budget sets; none if it is unknown.

    Args:
        budget: as the file has it, be it one that can be read or not; None sets nothing.
        entry: the method, as the file has it.
    """
    kind = kind_of(entry)
    if budget is None or kind is None:
        return ()
    has_rule = isinstance(budget, Mapping) and budget.get("alpha_per_rank") is not None
    scale = kind.scale_field_of(entry) if has_rule and isinstance(entry, Mapping) else None
    return (*size_fields_of(entry), *([] if scale is None else [scale, *kind.scale_fields]))


def _root_of(method: Method) -> str | None:
    """Returns the setting by which a method divides its alpha by the root of its rank, if so."""
    if isinstance(method, PeftSpec):
        return "use_rslora: true" if method.fields.get("use_rslora") is True else None
    return "scaling: sqrt_rank" if getattr(method, "scaling", "rank") == "sqrt_rank" else None


def _describe_params(value: object) -> str:
    return (
        f"params is {value!r}; allowed is a whole number of parameters, such as 42000000, or a "
        "share above 0% and below 100%, such as 0.52%; write one of them, without quotes"
    )
