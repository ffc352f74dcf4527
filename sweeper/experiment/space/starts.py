"""Where the search of a learning rate starts: at the rate that is expected to be best.

The first point of each method that is enqueued has it, be it a baseline or a combination of a grid
that leaves the rate out; a method without such a point gets one. A baseline that gives a rate has
its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import ValidationError

from sweeper.experiment.documents.tree import Json
from sweeper.experiment.space.distributions import Choice, Distribution, LogUniform, Uniform
from sweeper.experiment.space.rates import Expected, number_of
from sweeper.experiment.space.space import RATE, Axis, MethodSpace, Point, Space
from sweeper.experiment.trial import TrialSpec

__all__ = ["Start", "starts_of", "with_starts"]


@dataclass(frozen=True)
class Start:
    """Where the search of one method's learning rate starts."""

    expected: Expected
    """The rate that is expected to be best."""
    rate: float
    """The one of the space that comes nearest to it."""


def with_starts(space: Space) -> Space:
    """Returns a space whose first points start at the rates that are expected to be best.

    Args:
        space: checked.
    """
    rates = {name: start.rate for name, start in starts_of(space).items()}
    return replace(space, start_rates=rates)


def starts_of(space: Space) -> dict[str, Start]:
    """Returns where each method's first point starts, by name, of those that leave the rate out.

    Args:
        space: checked.
    """
    found: dict[str, Start] = {}
    for method in space.methods:
        given = next((x for x in space.baselines if x.get("method") == method.name), {})
        start = _start_of(space, {**given, "method": method.name})
        if start is not None:
            found[method.name] = start
    return found


def _start_of(space: Space, point: Mapping[str, Json]) -> Start | None:
    """Returns where a point starts that leaves the rate out; None where nothing is to be chosen.

    Nothing is where the rate is not searched over a range or among numbers, or the point has one.

    What else the point leaves out is taken from the middle of its values.
    """
    method = space.method(str(point["method"]))
    axis = next((x for x in method.axes if x.path == RATE), None)
    if axis is None or axis.name in point:
        return None
    trial = _trial_near(space, method, point)
    if trial is None:
        return None
    expected = space.prior.expected(trial.method, trial.model.shape())
    rate = _nearest(axis.distribution, expected.rate)
    return None if rate is None else Start(expected, rate)


def _trial_near(space: Space, method: MethodSpace, point: Mapping[str, Json]) -> TrialSpec | None:
    """Returns a trial at a point, or, where its middle is none, at the point's first values."""
    middle: Point = {axis.name: _middle(axis) for axis in method.axes}
    first: Point = {axis.name: axis.distribution.candidates()[0] for axis in method.axes}
    for rest in (middle, first):
        try:
            return space.trial({**rest, **point})
        except ValidationError:
            continue
    return None


def _middle(axis: Axis) -> Json:
    values = axis.distribution.values()
    return axis.distribution.candidates()[-1] if values is None else values[len(values) // 2]


def _nearest(distribution: Distribution, rate: float) -> float | None:
    """Returns the value of a distribution that is nearest to a rate; None where it has none."""
    match distribution:
        case LogUniform(loguniform=(low, high)) | Uniform(uniform=(low, high)):
            return min(high, max(low, rate))
        case Choice():
            found = [x for value in distribution.values() if (x := number_of(value)) is not None]
            return min(found, key=lambda x: abs(math.log(x / rate)), default=None)
        case _:
            return None
