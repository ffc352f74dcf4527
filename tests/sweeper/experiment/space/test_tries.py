"""Which points of a space are tried: combinations of few values all, of many some of each kind."""

from __future__ import annotations

import itertools

from sweeper.experiment.space.distributions import Choice, IntRange, Uniform
from sweeper.experiment.space.space import Axis, MethodSpace, Point
from sweeper.experiment.space.tries import MOST, points_to_try


def space_of(*values: tuple[int, ...]) -> MethodSpace:
    axes = (Axis(f"x.{i}", ("method", str(i)), Choice(choice=own)) for i, own in enumerate(values))
    return MethodSpace("x", {}, tuple(axes))


def key(point: Point) -> tuple[object, ...]:
    return tuple(value for name, value in sorted(point.items()) if name != "method")


def test_of_few_values_all_combinations_are_tried() -> None:
    found = [key(point) for point in points_to_try(space_of((1, 2), (1, 2, 3), (1, 2)))]
    together = [
        x for x in itertools.product((1, 2), (1, 2, 3), (1, 2)) if sum(y != 1 for y in x) > 1
    ]
    assert sorted(found) == sorted(together)
    assert list(points_to_try(space_of((1, 2, 3)))) == []


def test_of_many_values_all_pairs_are_tried_as_long_as_there_is_room() -> None:
    space = space_of(*[(0, 1, 2)] * 7)
    points = list(points_to_try(space))
    assert len(points) <= MOST
    for first, second in itertools.combinations(range(7), 2):
        pairs = {(point[f"x.{first}"], point[f"x.{second}"]) for point in points}
        assert pairs == set(itertools.product((0, 1, 2), repeat=2))
    # Points at random differ in more fields than two.
    assert any(sum(value != 0 for value in key(point)) > 3 for point in points)


def test_of_long_axes_the_ends_are_tried_and_some_between() -> None:
    axes = [
        Axis(f"x.{i}", ("method", str(i)), IntRange.model_validate({"int": [1, 64]}))
        for i in range(12)
    ]
    axes.append(Axis("x.u", ("method", "u"), Uniform(uniform=(0, 1))))
    points = list(points_to_try(MethodSpace("x", {}, tuple(axes))))
    assert 0 < len(points) <= MOST
    for first, second in itertools.combinations(range(12), 2):
        pairs = {(point[f"x.{first}"], point[f"x.{second}"]) for point in points}
        assert (64, 64) in pairs
    assert points == list(points_to_try(MethodSpace("x", {}, tuple(axes))))
