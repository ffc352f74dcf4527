"""Averages of a metric over groups: tasks, domains, subjects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from sweeper.errors import BadInputError
from sweeper.metrics.estimates import Estimate

__all__ = ["macro_average", "micro_average"]


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


def _values(groups: Mapping[str, Estimate]) -> list[Estimate]:
    if not groups:
        raise BadInputError(
            "there is nothing to average: got 0 groups; an average needs at least 1; hand over "
            "what was measured on each group"
        )
    return list(groups.values())


def _weighted(groups: Sequence[Estimate], weights: Sequence[float], *, value: float) -> Estimate:
    errors = [x.standard_error for x in groups]
    known = [error for error in errors if error is not None]
    squares = [(w * error) ** 2 for w, error in zip(weights, known, strict=False)]
    error = math.sqrt(math.fsum(squares)) if len(known) == len(errors) else None
    return Estimate(value, error, sum(x.count for x in groups))
