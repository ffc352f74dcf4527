"""Which values of a search's best trial are at an end of their range: the best may lie beyond."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from sweeper._text import value_text
from sweeper.analysis.score_table import trial_name
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.sections import read_methods
from sweeper.experiment.space.distributions import (
    Choice,
    Distribution,
    Grid,
    IntRange,
    LogUniform,
    Uniform,
)
from sweeper.experiment.space.space import Axis
from sweeper.tracking.record import TrialRecord

__all__ = ["edges_of"]

# Part of a range at each end, in its logarithm where it is drawn so.
_NEAR = 0.05
# Of fewer values each is an end, or next to one.
_LEAST_VALUES = 3


def edges_of(document: Document, best: TrialRecord) -> Iterator[str]:
    """Yields a sentence for each searched number of a trial that is at an end of its range.

    Args:
        document: of the search.
        best: its best trial.
    """
    if "methods" not in document:
        return
    methods, _ = read_methods(document)
    axes = next((method.axes for method in methods if method.name == best.method), ())
    for axis in axes:
        said = _edge(axis, best.params)
        if said:
            yield f"The {axis.path[-1]} of {trial_name(best)} {said}"


def _edge(axis: Axis, params: Mapping[str, object]) -> str:
    """Returns at which end of its range a value is, or an empty text."""
    value = params.get(axis.path[-1])
    ends = _ends(axis.distribution)
    if ends is None or isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    low, high, margin = ends
    if isinstance(axis.distribution, LogUniform) and value > 0:
        place = math.log(value / low) / math.log(high / low)
    else:
        place = (value - low) / (high - low)
    if margin < place < 1 - margin:
        return ""
    end = "lower" if place <= margin else "upper"
    return (
        f"({value_text(value)}) is at the {end} end of its range, {value_text(low)} to "
        f"{value_text(high)}: a better one may lie beyond; widen {axis.name} there."
    )


def _ends(distribution: Distribution) -> tuple[float, float, float] | None:
    """Returns both ends of a range of numbers and how near to one counts; None of other values."""
    match distribution:
        case LogUniform(loguniform=(low, high)) | Uniform(uniform=(low, high)):
            return low, high, _NEAR
        case IntRange(bounds=(low, high)) if high - low >= (_LEAST_VALUES - 1) * distribution.step:
            return low, high, 0.0
        case Choice() | Grid():
            values = [
                x
                for x in distribution.values()
                if isinstance(x, int | float) and not isinstance(x, bool)
            ]
            if len(values) == len(distribution.values()) >= _LEAST_VALUES:
                return min(values), max(values), 0.0
    return None
