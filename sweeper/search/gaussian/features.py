"""Points of a space as vectors: its method, and one column for each field that is searched."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.experiment.documents.tree import Json
from sweeper.experiment.space.distributions import Choice, Distribution, Grid, LogUniform
from sweeper.experiment.space.space import RATE, Space
from sweeper.search.gaussian.process import Columns

__all__ = ["Features"]

# Listed numbers of which the largest is at least so many times the smallest are told apart by their
# logarithms: 2, 4, 8, 16.
_WIDE = 4.0


@dataclass(frozen=True)
class _Column:
    """A field, of all methods that search it."""

    names: Mapping[str, str]
    """What points of each method call it."""
    is_log: bool
    low: float
    """The lowest value, or its logarithm."""
    width: float
    """From the lowest to the highest value, above 0."""
    categories: Mapping[str, int] | None
    """Where its values are no numbers: the place of each."""
    starts: Mapping[str, float]
    """By method, what a value is counted from, on the column's scale; the lowest one if missing."""

    def of(
        self, methods: Sequence[str], points: Sequence[Mapping[str, Json]]
    ) -> NDArray[np.float64]:
        """Returns the points' numbers; not a number where a point does not have the field.

        Args:
            methods: of the points.
            points: as many.
        """
        names = [self.names.get(method, "") for method in methods]
        values = [point.get(name) for point, name in zip(points, names, strict=True)]
        if self.categories is not None:
            return np.array([self._place(value) for value in values], np.float64)
        found = np.array([x if type(x) in (int, float) else math.nan for x in values], np.float64)
        if self.is_log:
            found = np.log(np.where(found > 0, found, math.nan))
        starts = [self.starts.get(method, self.low) for method in methods]
        return np.asarray((found - starts) / self.width)

    def _place(self, value: Json) -> float:
        assert self.categories is not None
        key = json.dumps(value, sort_keys=True)
        return float(self.categories.get(key, len(self.categories)))


class Features:
    """Turns points into vectors.

    Numbers are scaled to a range of 1, in their logarithm where they are drawn so. A field that
    several methods have under one name is one column. A learning rate is counted from the one that
    is expected of its method, where that is known: what is a large rate for one method is a small
    one for another, and so the curves of methods resemble each other.
    """

    def __init__(self, space: Space) -> None:
        """Looks at the searched fields of all methods."""
        self._methods = {method.name: place for place, method in enumerate(space.methods)}
        self._axes = {method.name: method.axes for method in space.methods}
        paths = dict.fromkeys(axis.path for method in space.methods for axis in method.axes)
        self._columns = [_column(space, path) for path in paths]

    @property
    def columns(self) -> Columns:
        """What the columns are, after that of the method."""
        return Columns(
            categorical=tuple(column.categories is not None for column in self._columns),
            common=tuple(len(column.names) == len(self._methods) for column in self._columns),
        )

    def has(self, point: Mapping[str, Json]) -> bool:
        """Returns whether a point is one of the space, which may have been another."""
        axes = self._axes.get(str(point["method"]))
        return axes is not None and all(
            axis.name in point and axis.distribution.contains(point[axis.name]) for axis in axes
        )

    def of(self, points: Iterable[Mapping[str, Json]]) -> NDArray[np.float64]:
        """Returns vectors, float64 [n, 1 + columns]: the method's place, then the columns.

        Args:
            points: of methods of the space; not a number stands where one has not the field.
        """
        given = [*points]
        methods = [str(point["method"]) for point in given]
        found = np.empty((len(given), 1 + len(self._columns)))
        found[:, 0] = [self._methods[method] for method in methods]
        for place, column in enumerate(self._columns, start=1):
            found[:, place] = column.of(methods, given)
        return found


def _column(space: Space, path: tuple[str, ...]) -> _Column:
    axes = {
        method.name: axis for method in space.methods for axis in method.axes if axis.path == path
    }
    names = {method: axis.name for method, axis in axes.items()}
    distributions = [axis.distribution for axis in axes.values()]
    values = [value for own in distributions for value in own.candidates()]
    numbers = [x for x in values if isinstance(x, int | float) and not isinstance(x, bool)]
    if len(numbers) < len(values):
        texts = dict.fromkeys(json.dumps(value, sort_keys=True) for value in values)
        categories = {text: place for place, text in enumerate(texts)}
        return _Column(names, False, 0.0, 1.0, categories, {})
    is_log = _is_log(distributions, numbers)
    ends = [math.log(x) if is_log else float(x) for x in (min(numbers), max(numbers))]
    rates = space.start_rates if path == RATE else {}
    starts = {name: math.log(x) if is_log else float(x) for name, x in rates.items()}
    return _Column(names, is_log, ends[0], ends[1] - ends[0] or 1.0, None, starts)


def _is_log(distributions: Sequence[Distribution], numbers: Sequence[float]) -> bool:
    if min(numbers) <= 0:
        return False
    are_listed = all(isinstance(own, Choice | Grid) for own in distributions)
    is_wide = are_listed and max(numbers) >= _WIDE * min(numbers)
    return is_wide or any(isinstance(own, LogUniform) for own in distributions)
