"""At which learning rate a method is expected to be best, before any trial: the prior.

Of the best rate of AdamW's the decimal logarithm is expected to be::

    value(method) + a · log10(size / size₀) + b · log10(alpha / alpha₀) + c · log10(width / width₀)
    + own(model)

``value`` is read from tables of learning curves, at the geometry with index 0. ``size`` is the
number of trained parameters, as the rank of the LoRA that has as many on the same layers: it holds
the rank, the number of matrices A, and whatever else a method is sized by. ``alpha`` is what the
update is multiplied by, times the rank. ``width`` is that of the residual stream. ``own`` is what
the rates of a model that a table is of differ by from those of its width; 0 of any other model.

The exponents are estimates over the tables, which begin at what is published and stay there where
no table says anything:

* ``a = 0.19``: the best rate of LoRA over its rank, alpha being fixed, in the table of
  github.com/thinking-machines-lab/tinker-cookbook.
* ``b = -0.38``: at one rate the best alpha grows as the root of the rank (arXiv:2606.12883), so
  that ``a + b / 2 = 0``. No table varies alpha.
* ``c = -0.781``: what ``get_lr`` of the tinker-cookbook had for LLaMA models
  (``tinker_cookbook/hyperparam_utils.py``, commit e1024a4). For Qwen it had -0.0775.

How far the best rate may be from the expected one is a standard deviation in decades: that of the
method's value, of each exponent times its logarithm, of one training to another, and of what is the
model's own, which is one model's to another where no table is of a model of this width.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from sweeper._spec import Spec
from sweeper_adapters.methods import LoraSpec, Method, ModelShape

__all__ = [
    "PRIOR_FILE",
    "Expected",
    "MethodValue",
    "ModelValue",
    "RatePrior",
    "Slope",
    "packaged_prior",
    "size_of",
]

PRIOR_FILE = Path(__file__).parent / "prior.json"
"""The prior of the package, which ``make rate-priors`` writes."""
# Whose value another method has that the tables do not hold: it differs in its frozen weights.
_LIKE = {"qlora": "lora"}
# Rates that a trial may have.
_LOWEST, _HIGHEST = 1e-7, 10.0
_Spread = Annotated[float, Field(ge=0)]


class Slope(Spec):
    """How the best rate moves with one quantity."""

    exponent: float
    """The best rate is as the quantity to this power."""
    spread: _Spread
    """Standard deviation of the exponent."""


class MethodValue(Spec):
    """What the tables say of one method."""

    log10_rate: float
    """Decimal logarithm of its best rate."""
    spread: _Spread
    """Its standard deviation, in decades."""
    alpha: float | None = Field(default=None, gt=0)
    """Its alpha in the tables; null of a method that has none."""


class ModelValue(Spec):
    """What is a model's own, beside its width."""

    name: str
    """As its table calls it."""
    width: float = Field(gt=0)
    """Of its residual stream, in channels; by it a model is known."""
    decades: float
    """By how much its rates are above those of its width, in decades."""
    spread: _Spread
    """Standard deviation of that."""


class RatePrior(Spec):
    """The prior, as its file has it."""

    tables: tuple[dict[str, Any], ...] = Field(min_length=1)
    """What each table is: model, width, seeds, rates, identity of its content, versions."""
    size: float = Field(gt=0)
    """Size that the methods' values are of."""
    width: float = Field(gt=0)
    """Width that they are of, in channels."""
    methods: dict[str, MethodValue]
    """Values of the methods, by label."""
    others: MethodValue
    """Of a method that no table has: the mean of all, and how they spread."""
    models: tuple[ModelValue, ...] = ()
    """What is the models' own that the tables are of."""
    by_size: Slope
    by_alpha: Slope
    by_width: Slope
    by_model: _Spread
    """Spread of the best rate over models of one width that no table is of, in decades."""
    noise: _Spread
    """Spread of the best rate from one training to another that should have the same one, in
    decades."""

    def expected(self, method: Method, shape: ModelShape) -> Expected:
        """Returns at which rate a method is expected to be best on a model.

        Args:
            method: as it is trained, with its size.
            shape: of the model.
        """
        label = method.label
        known = _LIKE.get(label, label)
        value = self.methods.get(known, self.others)
        size, alpha = size_of(method, shape), _alpha_of(method)
        parts = (
            _Part("size", size, self.size, self.by_size),
            _Part("alpha", alpha, value.alpha, self.by_alpha),
            _Part("width", float(shape.hidden_size), self.width, self.by_width),
        )
        moved = [(part, part.decades) for part in parts]
        log10_rate = value.log10_rate + sum(part.slope.exponent * x for part, x in moved)
        own, own_spread = self._own(shape.hidden_size)
        log10_rate += own
        variance = value.spread**2 + self.noise**2 + own_spread**2
        variance += sum((part.slope.spread * x) ** 2 for part, x in moved)
        rate = min(_HIGHEST, max(_LOWEST, 10**log10_rate))
        return Expected(
            method=label,
            rate=float(f"{rate:.2g}"),
            spread=math.sqrt(variance),
            why=_why(known if known in self.methods else None, label, value, parts, own),
        )

    def _own(self, width: int) -> tuple[float, float]:
        """Returns what is a model's own, in decades, and its spread."""
        known = [model for model in self.models if model.width == width]
        if known:
            decades = sum(model.decades for model in known) / len(known)
            return decades, max(model.spread for model in known)
        # A prior of earlier, which a sweep has begun with, is of one model, and does not say.
        is_measured = any(width == table.get("width") for table in self.tables)
        return 0.0, 0.0 if is_measured else self.by_model


@dataclass(frozen=True)
class Expected:
    """At which rate a method is expected to be best."""

    method: str
    """Its label."""
    rate: float
    """The rate, rounded to two digits."""
    spread: float
    """Standard deviation of the best rate's decimal logarithm."""
    why: str
    """What it is made of, in words."""

    @property
    def interval(self) -> tuple[float, float]:
        """The rates between which the best one lies in two of three cases."""
        factor = 10**self.spread
        low, high = (float(f"{x:.2g}") for x in (self.rate / factor, self.rate * factor))
        return low, high


@dataclass(frozen=True)
class _Part:
    """One quantity of a method's geometry."""

    name: str
    value: float | None
    at: float | None
    """Where the method's value was measured."""
    slope: Slope

    @property
    def decades(self) -> float:
        """How far it is from there, in decades; 0 where one of the two is not known."""
        return math.log10(self.value / self.at) if self.value and self.at else 0.0

    @property
    def text(self) -> str:
        """By which factor it moves the rate, in words; empty where it does not."""
        factor = 10 ** (self.slope.exponent * self.decades)
        if self.value is None or f"{factor:.2g}" == "1":
            return ""
        value = f"{self.value:.0f}" if self.value >= 100 else f"{self.value:.3g}"
        return f"× {factor:.2g} for {self.name} {value}"


@cache
def packaged_prior() -> RatePrior:
    """Returns the prior of this package."""
    return RatePrior.model_validate(json.loads(PRIOR_FILE.read_text(encoding="utf-8")))


def size_of(method: Method, shape: ModelShape) -> float | None:
    """Returns the rank of the LoRA that has as many parameters on the same layers.

    None of a method that adapts no layers, or whose parameters are not counted by formula.

    Args:
        method: with its size.
        shape: of the model.
    """
    targets: tuple[str, ...] | None = getattr(method, "targets", None)
    if not targets or not method.is_counted_by_shape:
        return None
    lora = LoraSpec(rank=1, targets=targets).count(shape)
    return method.count(shape) / lora if lora else None


def _alpha_of(method: Method) -> float | None:
    """Returns what the update of a method is multiplied by, times its rank; None without one."""
    scale, plain = method.update_scale(), method.alpha_per_rank()
    if scale is None or plain is None or method.scale_field is None:
        return None
    # A scale of alpha / sqrt(rank) is that of a larger alpha.
    return float(getattr(method, method.scale_field)) * scale / plain


def _why(
    known: str | None, label: str, value: MethodValue, parts: tuple[_Part, ...], own: float
) -> str:
    rate = f"{10**value.log10_rate:.2g}"
    if known is None:
        said = f"{rate}, the mean of all methods that were measured, since no table has it"
    elif known != label:
        said = f"{rate}, the best of {known}'s curves"
    else:
        said = f"{rate}, the best of its curves"
    factor = f"{10**own:.2g}"
    of_model = [] if factor == "1" else [f"× {factor} for what is the model's own"]
    return " ".join([said, *(part.text for part in parts if part.text), *of_model])
