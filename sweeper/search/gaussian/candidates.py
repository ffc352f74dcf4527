"""The points of which a sampler chooses the next one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sweeper.experiment.documents.tree import Json, Scalar
from sweeper.experiment.space.space import LISTED_POINTS, Point, Space

__all__ = ["candidates"]

# Points at random of a larger one, and neighbours of each of its best points.
_RANDOM = 1000
_NEIGHBOURS = 40
# How far a neighbour lies, in units of a range, and how often it keeps a value that has no order.
_NEAR = 0.1
_KEPT = 0.8


def candidates(
    space: Space,
    given: Mapping[str, Json],
    *,
    best: Sequence[Mapping[str, Json]],
    chance: np.random.Generator,
) -> list[Point]:
    """Returns points of a space: all where they can be listed, else some at random and near others.

    Args:
        space: where they come from.
        given: values that all of them have.
        best: points whose neighbourhood is looked at, too.
        chance: draws.
    """
    listed = space.points(most=LISTED_POINTS)
    if listed is not None:
        return [point for point in listed if _agrees(point, given)]
    return list(_drawn(space, given, best=best, chance=chance))


def _drawn(
    space: Space,
    given: Mapping[str, Json],
    *,
    best: Sequence[Mapping[str, Json]],
    chance: np.random.Generator,
) -> Iterator[Point]:
    for _ in range(_RANDOM):
        yield space.suggest(_Random(chance), given)
    for point in best:
        kept = {**given, "method": point["method"]}
        if _agrees(kept, given):
            for _ in range(_NEIGHBOURS):
                yield space.suggest(_Near(chance, space.labels(point)), kept)


def _agrees(point: Mapping[str, Json], given: Mapping[str, Json]) -> bool:
    return all(point[name] == value for name, value in given.items() if name in point)


@dataclass(frozen=True)
class _Random:
    """Answers as a random draw does."""

    chance: np.random.Generator

    def suggest_categorical(self, name: str, choices: list[Scalar | None]) -> Scalar | None:
        del name
        return choices[int(self.chance.integers(len(choices)))]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        del name
        if log:
            return _within(math.exp(self.chance.uniform(math.log(low), math.log(high))), low, high)
        return float(self.chance.uniform(low, high))

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        del name
        return low + step * int(self.chance.integers((high - low) // step + 1))


@dataclass(frozen=True)
class _Near(_Random):
    """Answers with what is near a point."""

    labels: Mapping[str, Scalar | None]

    def suggest_categorical(self, name: str, choices: list[Scalar | None]) -> Scalar | None:
        own = self.labels.get(name)
        is_kept = own in choices and self.chance.random() < _KEPT
        return own if is_kept else super().suggest_categorical(name, choices)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        own = float(str(self.labels[name]))
        moved = _NEAR * self.chance.standard_normal()
        if log:
            return _within(own * (high / low) ** moved, low, high)
        return _within(own + (high - low) * moved, low, high)

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        own = int(str(self.labels[name]))
        # At least a step's length, or small ranges had no neighbours.
        width = max(step, _NEAR * (high - low))
        steps = round((own - low + width * self.chance.standard_normal()) / step)
        return low + step * min(max(0, steps), (high - low) // step)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
