"""A measured value with its standard error: from the metric that makes it to the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from sweeper.errors import BadInputError

__all__ = [
    "Estimate",
    "estimate_of",
    "from_metrics",
    "jackknife_estimate",
    "mean_estimate",
    "no_examples",
    "to_metrics",
]

# What the name of a standard error ends with, where estimates are kept as plain numbers.
ERROR = "_se"


@dataclass(frozen=True)
class Estimate:
    """A value that was measured on some examples, with its standard error."""

    value: float
    standard_error: float | None = None
    """None where the examples cannot tell it: there is one alone."""
    count: int = 0
    """Examples that it was measured on; 0 where only the value and its error were kept."""
    contributions: tuple[float, ...] | None = field(default=None, repr=False, compare=False)
    """What each example contributes, of which an average of metrics of the same examples has its
    error: its own value where the metric is a mean over examples, else its pseudo-value (see
    :func:`jackknife_estimate`). None where that is not known."""
    rows: tuple[int, ...] | None = field(default=None, repr=False, compare=False)
    """Which row of the evaluation each contribution is of, from 0. None where nobody has said."""

    def on_rows(self, rows: Sequence[int]) -> Estimate:
        """Returns the same as measured on these rows of an evaluation, in the order of the values.

        Args:
            rows: from 0, as many as examples.
        """
        return replace(self, rows=tuple(rows))

    def __str__(self) -> str:
        """Returns ``1.234 ± 0.021``, as exact as the error allows."""
        error = self.standard_error
        if not error:
            return f"{self.value:.4g}"
        # Two digits of the error; more of the value would say nothing.
        digits = min(max(0, 1 - math.floor(math.log10(error))), 8)
        return f"{self.value:.{digits}f} ± {error:.{digits}f}"

    def unpaired_error(self, other: Estimate) -> float | None:
        """Returns the standard error of the difference of two estimates, taken as independent.

        Two trials answer the same examples, which makes the true error smaller: this one errs on
        the side of not telling two trials apart.
        """
        if self.standard_error is None or other.standard_error is None:
            return None
        return math.hypot(self.standard_error, other.standard_error)


def mean_estimate(values: Sequence[float]) -> Estimate:
    """Returns the mean of one number for each example, with its sample standard error.

    A diverged model has losses that are infinite, not a number, or overflow when they are squared.
    Their mean says so, and its standard error is not a number.

    Raises:
        BadInputError: there are no values.
    """
    if not values:
        raise no_examples()
    count = len(values)
    if not all(map(math.isfinite, values)):
        return Estimate(sum(values) / count, math.nan if count > 1 else None, count, tuple(values))
    try:
        error = stdev(values) / math.sqrt(count) if count > 1 else None
        return Estimate(fmean(values), error, count, tuple(values))
    except OverflowError:
        return Estimate(sum(values) / count, math.nan, count, tuple(values))


def jackknife_estimate(value: float, without: Sequence[float]) -> Estimate:
    """Returns a statistic of a whole sample, such as BLEU, with its jackknife standard error.

    The pseudo-value of example i of n is n·value − (n − 1)·value without i; the standard error is
    that of their mean (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 11).

    Args:
        value: of all examples.
        without: of all but one, for each in turn; looked at from two examples on.
    """
    count = len(without)
    if count < 2:
        return Estimate(value, None, count)
    pseudo = tuple(count * value - (count - 1) * other for other in without)
    return Estimate(value, stdev(pseudo) / math.sqrt(count), count, pseudo)


def to_metrics(estimates: Mapping[str, Estimate]) -> dict[str, float]:
    """Returns estimates in the form that records, MLflow and JSON keep: plain numbers by name.

    The standard error of ``accuracy`` is called ``accuracy_se``. See :func:`from_metrics`.
    """
    metrics: dict[str, float] = {}
    for name, found in estimates.items():
        metrics[name] = found.value
        if found.standard_error is not None:
            metrics[f"{name}{ERROR}"] = found.standard_error
    return metrics


def from_metrics(metrics: Mapping[str, float]) -> dict[str, Estimate]:
    """Returns the estimates that :func:`to_metrics` made numbers of, whatever the numbers are."""
    names = [name for name in metrics if name.removesuffix(ERROR) not in metrics.keys() - {name}]
    return {name: Estimate(metrics[name], metrics.get(f"{name}{ERROR}")) for name in names}


def estimate_of(metrics: Mapping[str, float], name: str) -> Estimate | None:
    """Returns the estimate of that name that a report shows, from what :func:`to_metrics` made.

    None where it is missing or not finite.
    """
    value = metrics.get(name, math.nan)
    if not math.isfinite(value):
        return None
    error = metrics.get(f"{name}{ERROR}", math.nan)
    # No spread at all among the examples says that there are too few, not that there is no error.
    return Estimate(value, error if math.isfinite(error) and error > 0 else None)


def no_examples() -> BadInputError:
    """Returns the error of a measurement without examples."""
    return BadInputError(
        "there is nothing to measure: got 0 examples; a metric needs at least 1; pass at least one"
    )
