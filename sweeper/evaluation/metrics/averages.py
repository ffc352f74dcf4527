"""Averages over groups or over metrics of the same examples, and differences of two models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from sweeper.errors import BadInputError
from sweeper.estimates import Estimate, mean_estimate

__all__ = ["joint_average", "macro_average", "micro_average"]


def macro_average(groups: Mapping[str, Estimate]) -> Estimate:
    """Returns the mean over groups, each counted alike.

    The groups are fixed and their examples independent, so the standard error is
    sqrt(Σ se²) / groups. None where that of a group is not known.

    Args:
        groups: what was measured on each.

    Raises:
        BadInputError: there is no group.
    """
    found = _values(groups)
    return _weighted(found, [1 / len(found)] * len(found), value=fmean(x.value for x in found))


def micro_average(groups: Mapping[str, Estimate]) -> Estimate:
    """Returns the mean over the examples of all groups, each example counted alike.

    For metrics that are means over examples. The standard error is that of a sample with as many
    examples of each group, sqrt(Σ (n_g / n)² se_g²): smaller than that of one drawn from all
    groups together where the groups differ.

    Args:
        groups: what was measured on each.

    Raises:
        BadInputError: there is no group.
    """
    found = _values(groups)
    total = sum(x.count for x in found)
    value = math.fsum(x.value * x.count for x in found) / total
    return _weighted(found, [x.count / total for x in found], value=value)


def joint_average(metrics: Sequence[Estimate]) -> Estimate:
    """Returns the mean of metrics that were measured on the same examples, each counted alike.

    They are correlated: the standard error is that of the mean, over the examples, of what each
    contributes to all the metrics on average. With means over examples this is that of a mean of
    the examples' averages; with pseudo-values it is the jackknife's of the average as a whole. None
    where a metric does not know what its examples contribute.

    Args:
        metrics: on the same examples, in the same order.

    Raises:
        BadInputError: there is no metric, or they are not of equally many examples.
    """
    counts = sorted({found.count for found in metrics})
    if len(counts) != 1:
        raise BadInputError(
            f"{len(metrics)} metrics, of {' and '.join(map(str, counts)) or 'no'} examples, have "
            "no joint average; it needs metrics of the same examples; measure them on the same "
            "examples"
        )
    value = fmean(found.value for found in metrics)
    known = [found.contributions for found in metrics if found.contributions is not None]
    if len(known) < len(metrics):
        return Estimate(value, None, counts[0])
    joint = [fmean(of_one) for of_one in zip(*known, strict=True)]
    error = mean_estimate(joint).standard_error
    return Estimate(value, error, counts[0], tuple(joint), metrics[0].rows)


def _values(groups: Mapping[str, Estimate]) -> list[Estimate]:
    if not groups:
        raise BadInputError(
            "there is nothing to average: got 0 groups; an average needs at least 1; pass the "
            "metric of each group"
        )
    return list(groups.values())


def _weighted(groups: Sequence[Estimate], weights: Sequence[float], *, value: float) -> Estimate:
    errors = [x.standard_error for x in groups]
    known = [error for error in errors if error is not None]
    squares = [(w * error) ** 2 for w, error in zip(weights, known, strict=False)]
    error = math.sqrt(math.fsum(squares)) if len(known) == len(errors) else None
    total = sum(x.count for x in groups)
    own: list[float] = []
    rows: list[int] = []
    for group, weight in zip(groups, weights, strict=True):
        own += [c * weight * total / group.count for c in group.contributions or ()]
        rows += group.rows or ()
    contributions = tuple(own) if len(own) == total else None
    return Estimate(value, error, total, contributions, tuple(rows) if len(rows) == total else None)
