"""The first point of each method of a search starts at the rate that is expected of it."""

from __future__ import annotations

import pytest

from sweeper.experiment.loading import load_sweep
from sweeper.experiment.space.rates import packaged_prior
from sweeper.experiment.space.starts import starts_of
from tests.sweeper.experiment.spaces import SPACE

RATE = "train.learning_rate"
WIDE = SPACE.replace("[1e-4, 1e-2]", "[1e-6, 1.0]")
ALONE = WIDE.partition("baselines:")[0] + "search: {trials: 6}\n"


def fixed(space, text, *, trials=6):
    space.write_text(text)
    sweep = load_sweep(space)
    return sweep, sweep.space.fixed_points(trials)


def expected(sweep, point):
    rest = {
        x.name: x.distribution.candidates()[0] for x in sweep.space.method(point["method"]).axes
    }
    trial = sweep.space.trial({**rest, **point})
    return packaged_prior().expected(trial.method, trial.model.shape()).rate


def test_a_baseline_starts_there_unless_it_has_a_rate(space):
    sweep, points = fixed(space, WIDE)
    masa, lora = points
    assert masa[RATE] == expected(sweep, masa)
    assert lora[RATE] == 1e-3


def test_only_the_first_baseline_of_a_method_does(space):
    again = WIDE.replace("baselines:\n", "baselines:\n  - method: {name: masa, experts: 2}\n")
    _, (first, second, _) = fixed(space, again)
    assert RATE in first
    assert RATE not in second


def test_a_method_without_a_baseline_gets_a_point_of_its_own(space):
    sweep, points = fixed(space, ALONE)
    assert [point["method"] for point in points] == ["masa", "lora"]
    assert all(point.keys() == {"method", RATE} for point in points)
    assert [x.rate for x in starts_of(sweep.space).values()] == [point[RATE] for point in points]
    assert sweep.space.fixed_points(1) == points[:1]


def test_a_grid_starts_there_without_another_trial(space):
    grid = ALONE.replace("{choice: [4, 8]}", "{grid: [4, 8]}")
    _, points = fixed(space, grid)
    assert [point.get("lora.rank") for point in points] == [None, 4, 8, None, 4, 8]
    assert [RATE in point for point in points] == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("rates", "start"),
    [
        ("{loguniform: [1.0e-6, 1.0e-5]}", 1e-5),
        ("{uniform: [0.5, 1.0]}", 0.5),
        ("{choice: [1.0e-9, 1.0e-2, 9.0]}", 1e-2),
        ("{grid: [1.0e-4, 1.0e-3]}", None),
        ("3.0e-3", None),
        ("auto", None),
    ],
)
def test_it_is_the_nearest_rate_of_the_space(space, rates, start):
    _, points = fixed(space, ALONE.replace("{loguniform: [1e-6, 1.0]}", rates), trials=1)
    found = points[0].get(RATE) if points else None
    if "grid" in rates:
        assert found == 1e-4
    else:
        assert found == start


def test_designs_and_lists_start_nowhere(list_of):
    assert list_of().space.start_rates == {}
