"""The points of which the next one is chosen."""

from typing import Any

import numpy as np

from sweeper.experiment.space.distributions import Choice, IntRange, LogUniform, Uniform
from sweeper.experiment.space.space import Axis, MethodSpace, Space
from sweeper.search.gaussian import candidates

RATE = Axis("rate", ("train", "rate"), LogUniform(loguniform=(1e-4, 1e-2)))
AXES = (
    RATE,
    Axis("noise", ("train", "noise"), Uniform(uniform=(0.0, 8.0))),
    Axis("a.rank", ("method", "rank"), IntRange(int=(2, 64), step=2)),
    Axis("a.on", ("method", "on"), Choice(choice=(["q"], ["q", "v"]))),
)
LARGE = Space((MethodSpace("a", {}, AXES), MethodSpace("b", {}, (RATE,))))
SMALL = Space((MethodSpace("a", {}, AXES[2:]), MethodSpace("b", {}, ())))
BEST: dict[str, Any] = {"method": "a", "rate": 1e-2, "noise": 0.0, "a.rank": 64, "a.on": ["q"]}


def chance() -> np.random.Generator:
    return np.random.default_rng(3)


def test_a_small_space_is_listed_whole_and_what_is_given_stands():
    every = candidates(SMALL, {}, best=(), chance=chance())
    assert len(every) == 32 * 2 + 1
    some = candidates(SMALL, {"method": "a", "a.on": ["q"]}, best=(), chance=chance())
    assert {(x["method"], str(x["a.on"])) for x in some} == {("a", "['q']")}
    assert len(some) == 32


def test_all_points_of_a_large_space_are_points_of_it():
    found = candidates(LARGE, {}, best=(BEST,), chance=chance())
    axes = {method.name: method.axes for method in LARGE.methods}
    for point in found:
        assert set(point) == {"method", *(axis.name for axis in axes[str(point["method"])])}
        for axis in axes[str(point["method"])]:
            assert axis.distribution.contains(point[axis.name])
    assert {point["method"] for point in found} == {"a", "b"}


def test_some_are_near_the_best_ones():
    without = candidates(LARGE, {"method": "a"}, best=(), chance=chance())
    near: list[Any] = candidates(LARGE, {"method": "a"}, best=(BEST,), chance=chance())[
        len(without) :
    ]
    assert np.mean([np.log10(x["rate"]) for x in near]) > -2.2
    assert np.mean([x["noise"] for x in near]) < 1
    assert np.mean([x["a.rank"] for x in near]) > 56
    assert np.mean([x["a.on"] == ["q"] for x in near]) > 0.6
    assert len({x["a.rank"] for x in near}) > 3


def test_the_best_of_another_method_have_no_neighbours_where_one_is_given():
    given = {"method": "b"}
    found = candidates(LARGE, given, best=(BEST,), chance=chance())
    assert {point["method"] for point in found} == {"b"}
    assert len(found) == len(candidates(LARGE, given, best=(), chance=chance()))
