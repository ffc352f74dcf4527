"""A measured value with its standard error: what every metric returns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from statistics import fmean, stdev
from types import ModuleType

from sweeper.errors import BadInputError, MissingError

__all__ = ["Estimate", "jackknife_estimate", "library", "mean_estimate", "plain", "require_pairs"]


@dataclass(frozen=True)
class Estimate:
    """A value that was measured on some examples."""

    value: float
    standard_error: float | None
    """None where the examples cannot tell it: there is one alone."""
    count: int
    """Examples that it was measured on, at least 1."""
    contributions: tuple[float, ...] | None = field(default=None, repr=False, compare=False)
    """What each example contributes, of which an average of metrics of the same examples has its
    error: its own value where the metric is a mean over examples, else its pseudo-value (see
    :func:`jackknife_estimate`). None where that is not known."""


def mean_estimate(values: Sequence[float]) -> Estimate:
    """Returns the mean of one number for each example, with its sample standard error.

    Raises:
        BadInputError: there are no values.
    """
    if not values:
        raise _no_examples()
    spread = stdev(values) if len(values) > 1 else None
    error = None if spread is None else spread / math.sqrt(len(values))
    return Estimate(fmean(values), error, len(values), tuple(values))


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


def plain(estimates: Mapping[str, Estimate]) -> dict[str, float]:
    """Returns the values by name, and each one's standard error under ``<name>_se``."""
    metrics: dict[str, float] = {}
    for name, found in estimates.items():
        metrics[name] = found.value
        if found.standard_error is not None:
            metrics[f"{name}_se"] = found.standard_error
    return metrics


def require_pairs(first: Sequence[object], second: Sequence[object], what: str) -> None:
    """Checks that two sequences belong together, one of each for each example.

    Args:
        first: for example the predictions.
        second: for example the references.
        what: both in words: "predictions and references".

    Raises:
        BadInputError: they are empty, or not equally many.
    """
    if len(first) != len(second):
        raise BadInputError(
            f"{what} do not belong together: there are {len(first)} and {len(second)}; each "
            "example needs one of both; hand over equally many"
        )
    if not first:
        raise _no_examples()


def library(name: str, *, metric: str) -> ModuleType:
    """Returns a module of a library that only one metric wants.

    Args:
        name: of the module, for example ``sacrebleu.metrics``.
        metric: that wants it.

    Raises:
        MissingError: the library is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise MissingError(
            f"the metric {metric} needs the package {package.replace('_', '-')}, which is not "
            "installed; run: pip install 'masa-mosa-sweeper[metrics]'"
        ) from error


def _no_examples() -> BadInputError:
    return BadInputError(
        "there is nothing to measure: got 0 examples; a metric needs at least 1; hand over some"
    )
