"""Spaces: points, the order in which fixed ones come, and where a field stands in a file."""

from __future__ import annotations

from typing import cast

import optuna
import pytest

from sweeper.experiment.space.distributions import Distribution, Grid, IntRange, Suggests, Uniform
from sweeper.experiment.space.listed import ListedTrial
from sweeper.experiment.space.space import Axis, MethodSpace, Point, Space

LORA = MethodSpace(
    "lora",
    {"method": {"name": "lora"}, "train": {"steps": 8}},
    (
        Axis("lora.rank", ("method", "rank"), Grid(grid=(2, 4))),
        Axis("lora.bias", ("method", "bias"), Grid(grid=("a", "b"))),
        Axis("train.seed", ("train", "seed"), IntRange.model_validate({"int": [1, 3]})),
    ),
)
MASA = MethodSpace("masa", {"method": {"name": "masa"}}, ())
LISTED = ListedTrial.model_validate({"name": "x", "method": {"name": "lora"}, "train": {"seed": 3}})


def test_grids_are_combined_method_by_method() -> None:
    space = Space((LORA, MASA))
    assert space.cells(most=9) == (
        {"method": "lora", "lora.rank": 2, "lora.bias": "a"},
        {"method": "lora", "lora.rank": 2, "lora.bias": "b"},
        {"method": "lora", "lora.rank": 4, "lora.bias": "a"},
        {"method": "lora", "lora.rank": 4, "lora.bias": "b"},
        {"method": "masa"},
    )
    assert space.cell_count == 5
    assert space.cells(most=2) == space.cells(most=9)[:2]
    assert Space((MASA,)).cells(most=9) == ()
    assert Space((MASA,)).cell_count == 0


def test_of_a_grid_too_large_to_be_listed_the_first_ones_are_taken() -> None:
    axes = tuple(
        Axis(f"lora.{name}", ("method", name), Grid(grid=tuple(range(100)))) for name in "abcdefgh"
    )
    space = Space((MethodSpace("lora", {}, axes),))
    assert space.cell_count == 100**8
    assert [point["lora.h"] for point in space.fixed_points(3)] == [0, 1, 2]


def test_baselines_come_first_and_then_the_grid_in_turn() -> None:
    baseline: Point = {"method": "masa"}
    space = Space((LORA, MASA), (baseline,))
    cells = space.cells(most=9)
    assert space.fixed_points(1) == (baseline,)
    assert space.fixed_points(8) == (baseline, *cells, *cells[:2])
    assert Space((MASA,), (baseline,)).fixed_points(8) == (baseline,)


def test_corners_show_every_value_of_each_axis_once() -> None:
    corners = list(Space((LORA, MASA)).corners())
    assert [None if axis is None else axis.name for axis, _ in corners] == [
        None,
        "lora.rank",
        "lora.bias",
        "train.seed",
        "train.seed",
        None,
    ]
    assert corners[0][1] == {"method": "lora", "lora.rank": 2, "lora.bias": "a", "train.seed": 1}
    assert corners[4][1] == {"method": "lora", "lora.rank": 2, "lora.bias": "a", "train.seed": 3}


def test_the_points_of_a_finite_space_are_listed() -> None:
    points = Space((LORA, MASA)).points(most=13)
    assert points is not None
    assert len(points) == 2 * 2 * 3 + 1
    assert {tuple(sorted(point.items())) for point in points[:4:3]} == {
        (("lora.bias", "a"), ("lora.rank", 2), ("method", "lora"), ("train.seed", 1)),
        (("lora.bias", "b"), ("lora.rank", 2), ("method", "lora"), ("train.seed", 1)),
    }
    assert points[-1] == {"method": "masa"}


@pytest.mark.parametrize(
    "distribution",
    [Uniform(uniform=(0.0, 1.0)), IntRange.model_validate({"int": [1, 2**53]})],
)
def test_the_points_of_a_large_space_are_not_listed(distribution: Distribution) -> None:
    axis = Axis("masa.experts", ("method", "experts"), distribution)
    assert Space((MethodSpace("masa", {}, (axis,)),)).points(most=10**9) is None
    assert Space((LORA, MASA)).points(most=12) is None


def test_a_tree_has_the_values_of_its_point() -> None:
    point: Point = {"method": "lora", "lora.rank": 2, "lora.bias": "a", "train.seed": 1}
    assert Space((LORA, MASA)).tree(point) == {
        "method": {"name": "lora", "rank": 2, "bias": "a"},
        "train": {"steps": 8, "seed": 1},
    }


def drawn(space: Space, params: Point) -> Point:
    return space.suggest(cast("Suggests", optuna.trial.FixedTrial(params)))


def test_a_point_is_drawn_along_the_axes_of_its_method() -> None:
    space = Space((LORA, MASA))
    point: Point = {"method": "lora", "lora.rank": 4, "lora.bias": "b", "train.seed": 2}
    assert drawn(space, point) == point
    assert drawn(space, {"method": "masa"}) == {"method": "masa"}
    # What has one value only is not asked for.
    assert drawn(Space((MASA,)), {}) == {"method": "masa"}


@pytest.mark.parametrize(
    ("method", "path", "place"),
    [
        (LORA, ("method", "rank"), "methods.lora.rank"),
        (LORA, ("method",), "methods.lora"),
        (LORA, ("train", "seed"), "train.seed"),
        (LORA, ("model", "kind"), "model.kind"),
        (MethodSpace("x", {}, (), LISTED), ("method", "rank"), "trials.x.method.rank"),
        (MethodSpace("x", {}, (), LISTED), ("train", "seed"), "trials.x.train.seed"),
        (MethodSpace("x", {}, (), LISTED), ("train", "steps"), "train.steps"),
    ],
)
def test_a_field_has_its_place_in_the_file(
    method: MethodSpace, path: tuple[str, ...], place: str
) -> None:
    assert method.place(path) == place
