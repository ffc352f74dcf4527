"""Points as vectors."""

import math
from typing import Any

import numpy as np
import pytest

from sweeper.experiment.space.distributions import Choice, IntRange, LogUniform, Uniform
from sweeper.experiment.space.space import RATE, Axis, MethodSpace, Point, Space
from sweeper.search.gaussian import Columns, Features


def axis(name: str, distribution, path: tuple[str, ...] = ()) -> Axis:
    return Axis(name, path or ("method", name.rpartition(".")[2]), distribution)


def space_of(*axes: Axis, **settings) -> Space:
    return Space((MethodSpace("a", {}, axes),), **settings)


def column(space: Space, *values: Any, method: str = "a") -> list[float]:
    name = space.method(method).axes[0].name
    found = Features(space).of({"method": method, name: value} for value in values)
    return [float(x) for x in found[:, 1]]


@pytest.mark.parametrize(
    ("distribution", "values", "expected"),
    [
        (Uniform(uniform=(1.0, 3.0)), (1.0, 2.0, 3.0), [0, 0.5, 1]),
        (LogUniform(loguniform=(1e-4, 1e-2)), (1e-4, 1e-3, 1e-2), [0, 0.5, 1]),
        (IntRange(int=(2, 6)), (2, 3, 6), [0, 0.25, 1]),
        # Powers of two are evenly spaced, and a few small numbers are, too.
        (Choice(choice=(2, 4, 8)), (2, 4, 8), [0, 0.5, 1]),
        (Choice(choice=(4, 5, 6)), (4, 5, 6), [0, 0.5, 1]),
        # Zero has no logarithm.
        (Choice(choice=(0, 4, 8)), (0, 4, 8), [0, 0.5, 1]),
        # These have no order.
        (Choice(choice=("x", "y", None)), ("y", None, "x"), [1, 2, 0]),
        (Choice(choice=(True, False)), (False, True), [1, 0]),
        (Choice(choice=(["q"], ["q", "v"])), (["q", "v"], ["q"]), [1, 0]),
    ],
)
def test_a_field_is_scaled_as_it_is_drawn(distribution, values, expected):
    assert column(space_of(axis("a.x", distribution)), *values) == pytest.approx(expected)


def test_which_columns_have_no_order():
    space = space_of(axis("a.x", Choice(choice=("row", "col"))), axis("a.y", Choice(choice=(1, 2))))
    assert Features(space).columns == Columns(categorical=(True, False), common=(True, True))


def test_a_field_of_two_methods_is_one_column_and_missing_elsewhere():
    rank = ("method", "rank")
    space = Space(
        (
            MethodSpace("a", {}, (axis("a.rank", Choice(choice=(4, 8)), rank),)),
            MethodSpace("b", {}, (axis("b.rank", Choice(choice=(8, 64)), rank),)),
            MethodSpace("c", {}, ()),
        )
    )
    points: list[Point] = [
        {"method": "a", "a.rank": 8},
        {"method": "b", "b.rank": 8},
        {"method": "c"},
    ]
    found = Features(space).of(points)
    assert found.shape == (3, 2)
    assert list(found[:, 0]) == [0, 1, 2]
    assert found[0, 1] == found[1, 1] == pytest.approx(0.25)
    assert math.isnan(found[2, 1])
    assert Features(space).columns.common == (False,)


def test_rates_are_counted_from_the_one_that_is_expected_of_a_method():
    rate = axis("train.learning_rate", LogUniform(loguniform=(1e-5, 1e-1)), RATE)
    space = Space(
        (MethodSpace("a", {}, (rate,)), MethodSpace("b", {}, (rate,))),
        start_rates={"a": 1e-4, "b": 1e-2},
    )
    assert column(space, 1e-4, 1e-3, method="a") == pytest.approx([0, 0.25])
    assert column(space, 1e-2, 1e-1, 1e-5, method="b") == pytest.approx([0, 0.25, -0.75])


def test_what_is_no_point_of_the_space_is_known():
    features = Features(space_of(axis("a.x", IntRange(int=(1, 2)))))
    assert features.has({"method": "a", "a.x": 2})
    # The space may have been another one.
    others: list[Point] = [{"method": "gone"}, {"method": "a"}, {"method": "a", "a.x": 3}]
    for point in others:
        assert not features.has(point)


def test_no_points_are_no_rows():
    assert Features(space_of(axis("a.x", IntRange(int=(1, 2))))).of([]).shape == (0, 2)
    assert np.isfinite(Features(Space((MethodSpace("a", {}, ()),))).of([{"method": "a"}])).all()
