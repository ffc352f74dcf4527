"""When a sweep will have ended: as often within the interval as it says; and what it has cost."""

from __future__ import annotations

import random
from typing import Any

import pytest
from scipy import stats

from sweeper.experiment.loading import load_sweep
from sweeper.report.outlook import COVERED, _student, cost_of, forecast_of
from sweeper.tracking.record import TrialRecord
from tests.places import SPACES


def ended(seconds: float, *, status: Any = "complete") -> TrialRecord:
    return trial(status, seconds, steps=100)


def trial(status: Any, seconds: float, *, steps: int) -> TrialRecord:
    return TrialRecord(
        id="a" * 12,
        number=0,
        method="lora",
        status=status,
        steps=steps,
        steps_total=100,
        attempts=1,
        wall_time_s=seconds,
    )


def test_before_the_first_step_nothing_is_known() -> None:
    assert forecast_of([], total=8, replicas=2) is None
    assert forecast_of([trial("running", 0.0, steps=0)], total=8, replicas=1) is None


def test_from_the_first_steps_on_there_is_a_rough_guess() -> None:
    found = forecast_of([trial("running", 20.0, steps=10)], total=3, replicas=1)
    assert found is not None
    # 90 steps of the first, and two more trials of 100, at 2 s a step.
    assert (found.left_s, found.is_rough, found.high_s) == (580.0, True, None)
    assert found.rests_on == (
        "0.5 steps a second so far on a replica, 2 trials to begin; the evaluation after the "
        "search is not in it"
    )


def test_replicas_share_the_work_and_the_last_trial_is_nobody_elses() -> None:
    before = [ended(100.0) for _ in range(4)]
    found = forecast_of(before, total=8, replicas=2)
    assert found is not None
    assert (found.left_s, found.low_s, found.high_s) == (200.0, 200.0, 200.0)
    alone = forecast_of(before, total=5, replicas=4)
    assert alone is not None
    assert alone.left_s == 100.0
    assert found.rests_on.startswith("4 trials that ended, on 2 replicas")


def test_a_search_that_has_all_its_trials_has_nothing_left() -> None:
    found = forecast_of([ended(10.0) for _ in range(4)], total=4, replicas=1)
    assert found is not None
    assert (found.left_s, found.high_s) == (0.0, 0.0)


@pytest.mark.parametrize("known", [3, 5, 12])
def test_the_interval_holds_the_end_as_often_as_it_says(known: int) -> None:
    chance, held, sweeps, waiting = random.Random(known), 0, 2000, 8
    for _ in range(sweeps):
        times = [max(1.0, chance.gauss(100, 20)) for _ in range(known + waiting)]
        before = [ended(seconds) for seconds in times[:known]]
        found = forecast_of(before, total=known + waiting, replicas=1)
        assert found is not None
        assert found.low_s is not None
        assert found.high_s is not None
        held += found.low_s <= sum(times[known:]) <= found.high_s
    # Five standard deviations of a share of 2,000; t at 2 degrees of freedom is 2 % too small.
    assert abs(held / sweeps - COVERED) < 0.035


@pytest.mark.parametrize("freedom", [4, 5, 10, 50])
def test_the_quantile_is_scipys(freedom: int) -> None:
    assert _student(0.95, freedom) == pytest.approx(stats.t.ppf(0.95, freedom), abs=0.01)


def test_what_trials_cost_is_their_own_time_times_what_a_replica_takes() -> None:
    trials = [ended(1800.0), ended(1800.0, status="failed")]
    found = cost_of(trials, {"workers": 2, "gpus_per_worker": 0.5, "price_per_hour": 3.0})
    assert (found.worker_hours, found.gpu_hours, found.price) == (2.0, 1.0, 6.0)
    assert cost_of(trials, {}).document() == {
        "worker_hours": 1.0,
        "gpu_hours": 0.0,
        "price": None,
    }
    damaged = {"workers": "many", "gpus_per_worker": True, "price_per_hour": -1}
    assert cost_of(trials, damaged) == cost_of(trials, {})


def test_a_price_changes_no_trials_identity() -> None:
    space = SPACES / "masa.yaml"
    plain = load_sweep(space, profile="embedded")
    priced = load_sweep(space, profile="embedded", overrides=["resources.price_per_hour=2.5"])
    assert priced.spec.resources.price_per_hour == 2.5
    assert priced.space.any_trial().identity() == plain.space.any_trial().identity()
