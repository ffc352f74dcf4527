"""The points of a space that are tried before anything starts: are they trials, can they be run?"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

from sweeper.experiment.documents.tree import Json
from sweeper.experiment.space.space import Axis, MethodSpace, Point

__all__ = ["MOST", "points_to_try"]

MOST = 400
"""Points of one method that are tried, at most."""
_MOST_AT_RANDOM = 100


def points_to_try(method: MethodSpace, *, most: int = MOST) -> Iterator[Point]:
    """Yields points of a method in which two fields or more are not at their first values.

    They are all combinations of the values that each axis is checked at, where these are few. Else
    they are all combinations of each two axes (of long axes some values, the ends among them), and
    then points at random, the same ones each time.

    Args:
        method: a part of a space.
        most: points, at most.
    """
    axes = method.axes
    values = [axis.distribution.candidates() for axis in axes]
    count = 1
    for own in values:
        count *= len(own)
    found: Iterator[Point]
    if count <= most:
        found = (_point(method, axes, chosen) for chosen in itertools.product(*values))
    else:
        found = itertools.chain(
            _pairs(method, values, most=max(1, most - _MOST_AT_RANDOM)),
            _at_random(method, values),
        )
    # One field alone is tried before.
    others = (x for x in found if _differing(x, axes, values) > 1)
    return itertools.islice(others, most)


def _pairs(
    method: MethodSpace, values: Sequence[tuple[Json, ...]], *, most: int
) -> Iterator[Point]:
    pairs = list(itertools.combinations(range(len(values)), 2))
    total = sum(len(values[first]) * len(values[second]) for first, second in pairs)
    # Of each axis as many values as the pairs have room for.
    each = max(2, int((most / len(pairs)) ** 0.5)) if total > most else max(map(len, values))
    base = [own[0] for own in values]
    for first, second in pairs:
        for one in _spread(values[first], each):
            for other in _spread(values[second], each):
                chosen = list(base)
                chosen[first], chosen[second] = one, other
                yield _point(method, method.axes, chosen)


def _at_random(method: MethodSpace, values: Sequence[tuple[Json, ...]]) -> Iterator[Point]:
    numbers = random.Random(0)
    for _ in range(_MOST_AT_RANDOM):
        yield _point(method, method.axes, [numbers.choice(own) for own in values])


def _spread(values: tuple[Json, ...], count: int) -> list[Json]:
    """Returns as many of the values, evenly spread, the first and the last among them."""
    if len(values) <= count:
        return list(values)
    return [values[round(place * (len(values) - 1) / (count - 1))] for place in range(count)]


def _point(method: MethodSpace, axes: Sequence[Axis], values: Sequence[Json]) -> Point:
    return {"method": method.name, **{x.name: v for x, v in zip(axes, values, strict=True)}}


def _differing(point: Point, axes: Sequence[Axis], values: Sequence[tuple[Json, ...]]) -> int:
    return sum(point[axis.name] != own[0] for axis, own in zip(axes, values, strict=True))
