"""Which values of a search's best trial are at an end of their range: the best may lie beyond."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from pydantic import ValidationError

from sweeper._text import value_text
from sweeper.analysis.score_table import trial_name
from sweeper.errors import SweeperError
from sweeper.experiment.documents.tree import Document, set_path
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
from sweeper.experiment.trial import TrialSpec
from sweeper.tracking.record import TrialRecord

__all__ = ["edges_of"]

# Part of a range at each end, in its logarithm where it is drawn so.
_NEAR = 0.05
# Of fewer values each is an end, or next to one.
_LEAST_VALUES = 3


def edges_of(
    document: Document, best: TrialRecord, read_spec: Callable[[], Document]
) -> Iterator[str]:
    """Yields a sentence for each searched number of a trial that is at an end of its range.

    Nothing is said of a number that does nothing in this trial, nor of an end beyond which the
    trial would be refused.

    Args:
        document: of the search.
        best: its best trial.
        read_spec: returns the spec of that trial; asked where a number is at an end.
    """
    if "methods" not in document:
        return
    methods, _ = read_methods(document)
    axes = next((method.axes for method in methods if method.name == best.method), ())
    for axis in axes:
        said = _edge(axis, best.params, read_spec)
        if said:
            yield f"The {axis.path[-1]} of {trial_name(best)} {said}"


def _edge(axis: Axis, params: Mapping[str, object], read_spec: Callable[[], Document]) -> str:
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
    if not _may_be_wider(axis, low, high, read_spec(), is_upper=end == "upper"):
        return ""
    return (
        f"({value_text(value)}) is at the {end} end of its range, {value_text(low)} to "
        f"{value_text(high)}: a better one may lie beyond; widen {axis.name} there."
    )


def _may_be_wider(axis: Axis, low: float, high: float, spec: Document, *, is_upper: bool) -> bool:
    """Returns whether a value beyond an end of a range could be a better one in this trial."""
    try:
        if axis.path[-1] in TrialSpec.model_validate(spec).method.idle_fields:
            return False
    except ValidationError:
        # Of another version, or of a user's own file that is gone: nobody knows.
        return True
    try:
        beyond = TrialSpec.model_validate(set_path(spec, axis.path, _beyond(low, high, is_upper)))
        shape = beyond.model.shape_at_hand()
        problems = [] if shape is None else beyond.method.problems(shape)
    except ValidationError:
        return False
    except SweeperError:
        # The model is not there any more.
        return True
    return axis.path[-1] not in {field for field, _ in problems}


def _beyond(low: float, high: float, is_upper: bool) -> float:
    """Returns the next value beyond an end: of whole numbers a whole one."""
    if isinstance(low, int) and isinstance(high, int):
        return high + 1 if is_upper else low - 1
    # Of a fraction the smallest step there is.
    return math.nextafter(high, math.inf) if is_upper else math.nextafter(low, -math.inf)


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
