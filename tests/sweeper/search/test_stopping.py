"""Which trials ASHA stops, without Ray; and that Ray's own scheduler would stop the same ones."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest

from sweeper.experiment.sweep import AshaSpec
from sweeper.search.stopping import Rungs, Share

Mode = Literal["min", "max"]

# Losses of recorded trials at their evaluations, in the order in which the trials began.
CURVES = {
    "good": [1.0, 0.9, 0.8, 0.7],
    "better": [0.9, 0.8, 0.7, 0.6],
    "worst": [5.0, 4.0, 3.0, 2.0],
    "late": [0.8, 0.8, 0.8, 0.8],
    "best": [0.7, 0.6, 0.5, 0.4],
}


class RayRungs:
    """Ray's scheduler, asked as Tune asks it."""

    def __init__(self, asha: AshaSpec, *, mode: str, evaluations: int) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler

        self._scheduler: Any = AsyncHyperBandScheduler(
            time_attr="evaluation",
            metric="value",
            mode=mode,
            max_t=evaluations,
            grace_period=asha.grace,
            reduction_factor=asha.reduction,
            stop_last_trials=False,
        )
        self._trials: dict[str, Any] = {}

    def decide(self, trial_id: str, evaluation: int, value: float, *, is_last: bool) -> bool:
        trial = self._trials.get(trial_id)
        if trial is None:
            trial = self._trials[trial_id] = SimpleNamespace(trial_id=trial_id)
            self._scheduler.on_trial_add(None, trial)
        result = {"evaluation": evaluation, "value": value}
        if is_last:
            self._scheduler.on_trial_complete(None, trial, result)
            return False
        return bool(self._scheduler.on_trial_result(None, trial, result) == "STOP")


def replay(curves: Mapping[str, Sequence[float]], rungs: Rungs) -> dict[str, int]:
    """Which trials stop, and at which evaluation, where one is trained after another."""
    stopped = {}
    for name, values in curves.items():
        for evaluation, value in enumerate(values, start=1):
            if rungs.decide(name, evaluation, value):
                stopped[name] = evaluation
                break
    return stopped


def stream(seed: int) -> tuple[AshaSpec, Mode, int, list[list[float]], random.Random]:
    """The settings and the curves of a sweep, and what its order is drawn with."""
    draw = random.Random(seed)
    evaluations = draw.choice([1, 2, 3, 4, 8, 9, 10, 16, 27, 64])
    grace = draw.randint(1, min(4, evaluations))
    reduction = draw.choice([1.5, 2, 2.5, 3, 4, 10, 16])
    asha = AshaSpec(grace=grace, reduction=reduction)
    curves = []
    for _ in range(draw.randint(1, 25)):
        start, drift = draw.uniform(-3, 3), draw.uniform(-0.2, 0.2)
        values = [start + drift * place + draw.gauss(0, 0.3) for place in range(evaluations)]
        # Rounded, so that ties with a cutoff happen.
        curves.append([round(value, 1) for value in values])
    modes: tuple[Mode, ...] = ("min", "max")
    return asha, draw.choice(modes), evaluations, curves, draw


@pytest.mark.parametrize("seed", range(120))
def test_rays_scheduler_decides_the_same_on_any_stream(seed: int) -> None:
    asha, mode, evaluations, curves, draw = stream(seed)
    ours = Rungs(asha, mode=mode, evaluations=evaluations)
    rays = RayRungs(asha, mode=mode, evaluations=evaluations)
    # Some trials run at once, and which of them reports next is chance.
    waiting = [(f"trial-{number}", iter(enumerate(c, start=1))) for number, c in enumerate(curves)]
    running: list[tuple[str, Iterator[tuple[int, float]]]] = []
    decisions = []
    at_once = draw.randint(1, 5)
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(waiting.pop(0))
        chosen = draw.choice(running)
        trial_id, values = chosen
        evaluation, value = next(values)
        is_last = evaluation == evaluations
        expected = rays.decide(trial_id, evaluation, value, is_last=is_last)
        decided = ours.decide(trial_id, evaluation, value) and not is_last
        assert decided == expected, (asha, mode, trial_id, evaluation, value)
        decisions.append(decided)
        if decided:
            # Tune tells the result at which it stopped a trial once more, at the trial's end.
            rays.decide(trial_id, evaluation, value, is_last=True)
            assert not ours.decide(trial_id, evaluation, value)
        if decided or is_last:
            running.remove(chosen)
    assert len(decisions) >= len(curves)


def test_the_streams_stop_trials_in_both_modes() -> None:
    stopped = {"min": 0, "max": 0}
    for seed in range(120):
        asha, mode, evaluations, curves, _ = stream(seed)
        rungs = Rungs(asha, mode=mode, evaluations=evaluations)
        named = {str(number): curve for number, curve in enumerate(curves)}
        stopped[mode] += len(replay(named, rungs))
    assert min(stopped.values()) > 100


def test_what_was_recorded_before_a_resume_fills_the_rungs_as_ray_would() -> None:
    asha = AshaSpec(grace=1, reduction=2)
    past = [[1.0, 0.9, 0.8, 0.7], [5.0], [6.0], [7.0]]
    rungs = Rungs(asha, mode="min", evaluations=4)
    rungs.fill(past[:2])
    rungs.fill(past[2:])
    assert rungs.decide("new", 1, 6.5)
    assert not Rungs(asha, mode="min", evaluations=4).decide("new", 1, 6.5)
    rays = RayRungs(asha, mode="min", evaluations=4)
    for number, values in enumerate(past):
        for evaluation, value in enumerate(values, start=1):
            rays.decide(f"past-{number}", evaluation, value, is_last=False)
    assert rays.decide("new", 1, 6.5, is_last=False)


def test_recorded_curves_show_which_trials_would_have_been_stopped() -> None:
    rungs = Rungs(AshaSpec(grace=1, reduction=2), mode="min", evaluations=4)
    assert replay(CURVES, rungs) == {"worst": 1, "late": 4}
    # A longer grace spares those that are behind at first.
    rungs = Rungs(AshaSpec(grace=2, reduction=2), mode="min", evaluations=4)
    assert replay(CURVES, rungs) == {"worst": 2, "late": 4}
    rungs = Rungs(AshaSpec(grace=1, reduction=2), mode="max", evaluations=4)
    assert set(replay(CURVES, rungs)) == {"better", "late", "best"}


def test_a_trial_is_judged_once_at_a_rung() -> None:
    rungs = Rungs(AshaSpec(grace=1, reduction=3), mode="min", evaluations=9)
    rungs.fill([[1.0] * 9])
    assert rungs.decide("behind", 1, 2.0)
    # Whoever goes on in spite of it is not asked before the next rung.
    assert [rungs.decide("behind", place, 2.0) for place in (2, 3, 4)] == [False, True, False]


def test_as_good_as_the_cutoff_goes_on() -> None:
    rungs = Rungs(AshaSpec(grace=1, reduction=2), mode="max", evaluations=4)
    rungs.fill([[1.0], [1.0], [1.0]])
    assert not rungs.decide("alike", 1, 1.0)
    assert rungs.decide("behind", 1, 0.999)


@pytest.mark.parametrize("asha", [None, AshaSpec(grace=4), AshaSpec(grace=5)])
def test_without_asha_and_with_a_grace_of_a_whole_trial_nothing_stops(
    asha: AshaSpec | None,
) -> None:
    rungs = Rungs(asha, mode="min", evaluations=4)
    rungs.fill([[1.0] * 4] * 3)
    places = itertools.product(range(1, 5), [9.0])
    assert not any(rungs.decide("bad", evaluation, value) for evaluation, value in places)


def test_a_share_stops_every_trial_at_one_evaluation() -> None:
    share = Share(2)
    assert [share.decide("a", evaluation, 0.0) for evaluation in (1, 2, 3)] == [False, True, True]
    assert share.decide("b", 2, -9.0)


def test_who_was_left_in_training_is_not_judged_again_where_it_passed() -> None:
    rungs = Rungs(AshaSpec(grace=1, reduction=3), mode="min", evaluations=9)
    rungs.fill([[1.0] * 9] * 3)
    rungs.take_up("behind", [9.0, 8.0])
    assert [rungs.decide("behind", place, 9.0) for place in (1, 2, 3)] == [False, False, True]
    # It stands there for the others.
    assert not rungs.decide("as-good", 1, 1.0)


def test_who_came_before_a_resume_is_not_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rungs = Rungs(AshaSpec(grace=1, reduction=2), mode="min", evaluations=4)
    # To judge a trial takes all who came to its rung before it.
    with monkeypatch.context() as patch:
        patch.setattr(np, "nanpercentile", lambda *_: pytest.fail("a trial is judged"))
        rungs.fill([[float(number)] * 4 for number in range(50)])
    assert [rungs.decide(str(loss), 4, loss) for loss in (10.0, 40.0)] == [False, True]
