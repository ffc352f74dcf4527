"""The points that a plan tells: those of the run as far as they are certain, drawn without it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import optuna

from sweeper.experiment.space.distributions import Choice, Grid, IntRange, Uniform
from sweeper.experiment.space.space import Axis, MethodSpace, Point, Space
from sweeper.experiment.sweep import ObjectiveSpec, SearchSpec
from sweeper.search.driving.drawing import draw
from sweeper.search.preview import preview
from sweeper.search.study import open_study
from sweeper.tracking.databases import StudyPlace
from tests.sweeper.search.two_methods import RATE, SEARCH, SPACE, study_in


def planned(space: Space, search: SearchSpec) -> list[tuple[Point, bool]]:
    return list(islice(preview(space, search), search.trials))


def test_the_plan_tells_the_first_trials_of_the_run(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    certain = [point for point, is_certain in planned(SPACE, SEARCH) if is_certain]
    assert len(certain) == SEARCH.startup_trials
    assert certain == [draw(study, SPACE, SEARCH)[1] for _ in certain]


def test_a_run_draws_each_kind_of_distribution_as_it_was_planned(tmp_path: Path) -> None:
    axes = (
        Axis("x.a", ("method", "a"), Choice(choice=(None, 3, "b"))),
        Axis("x.b", ("method", "b"), Choice(choice=([1], {"q": [2]}, None))),
        Axis("x.c", ("method", "c"), IntRange.model_validate({"int": [2, 62], "step": 4})),
        Axis("x.d", ("method", "d"), Uniform(uniform=(-1, 2))),
        RATE,
    )
    baseline: Point = {"method": "x", "x.a": None, "x.b": {"q": [2]}}
    space = Space((MethodSpace("x", {}, axes), MethodSpace("y", {}, (RATE,))), (baseline,))
    search = SearchSpec(trials=12, startup_trials=12, seed=3)
    place = StudyPlace("s", tmp_path / "optuna.db")
    study = open_study(place, objective=ObjectiveSpec(), space=space, search=search)
    run = [draw(study, space, search)[1] for _ in range(search.trials)]
    assert planned(space, search) == [(point, True) for point in run]
    assert run[0].items() >= baseline.items()
    assert {point["method"] for point in run} == {"x", "y"}
    assert optuna.get_all_study_names(place.address) == ["s"]


def test_a_grid_takes_its_values_in_turn() -> None:
    grid = Axis("masa.sharing", ("method", "sharing"), Grid(grid=("a", "b", "both")))
    space = Space((MethodSpace("masa", {}, (grid, RATE)),))
    points = planned(space, SEARCH)
    assert [point["masa.sharing"] for point, _ in points] == [*("a", "b", "both") * 2, "a", "b"]
    # What a cell of the grid leaves out depends on results after the random start.
    assert [is_certain for _, is_certain in points] == [True] * 3 + [False] * 5


def test_a_whole_point_is_certain_whenever_it_comes() -> None:
    grid = Axis("masa.sharing", ("method", "sharing"), Grid(grid=("a", "b")))
    search = SearchSpec(trials=6, startup_trials=1)
    points = planned(Space((MethodSpace("masa", {}, (grid,)),)), search)
    assert all(is_certain for _, is_certain in points)
