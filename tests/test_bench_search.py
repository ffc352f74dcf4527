"""The replay of searches on a table of learning curves, held to tables with known answers."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from scipy import stats

from benchmarks.curves.table import Cell, CurveTable
from benchmarks.search.contestants import CONTESTANTS, TODAY, by_name, sampler_of
from benchmarks.search.replay import Course, Pick, Replay, Setting, space_of
from benchmarks.search.rules import Constant, Promotion, Whole
from benchmarks.search.scoring import differences, regrets, score
from sweeper.experiment.space.space import Space
from sweeper.experiment.sweep import AshaSpec, SearchSpec
from tests import curves

WHOLE = curves.STEPS[-1]
# Float16 has 11 bits: losses of about 1 are known to half of this.
ROUNDING = 1e-3
RANDOM, TPE = sampler_of("random"), sampler_of("tpe")


class Best(optuna.samplers.BaseSampler):
    """Draws the best configuration first, then at random."""

    def __init__(self, point: Mapping[str, Any], trial_number: int) -> None:
        self._point = point
        self._is_first = trial_number == 0
        self._random = optuna.samplers.RandomSampler(seed=trial_number)

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        if self._is_first:
            return self._point[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def setting(trials: float, *, swap_steps: float = 0.0, replicas: int = 2) -> Setting:
    return Setting(round(trials * WHOLE), swap_steps, replicas)


def replay(
    table: CurveTable, *, rule=Whole, make=RANDOM, trials: float = 10, seed=0, **settings
) -> Replay:
    return Replay(
        table,
        setting(trials, **settings),
        make_sampler=make,
        make_rule=rule,
        seed=seed,
    )


def best_of(table: CurveTable) -> Cell:
    return min(table.cells, key=table.scores.__getitem__)


def drawing(table: CurveTable, cell: Cell):
    method, size, rate = cell
    point = {"method": table.about.methods[method], "size": size, "rate": rate}

    def make(search: SearchSpec, *, space: Space, trial_number: int, is_random: bool = False):
        return Best(point, trial_number)

    return make


def test_who_draws_the_best_first_has_no_regret():
    table = curves.table()
    course = replay(table, make=drawing(table, best_of(table))).run()
    assert [pick.cell for pick in course.picks] == [best_of(table)]
    (found,) = regrets(table, [course], [WHOLE - 1, 2 * WHOLE, 10 * WHOLE])
    base = float(table.base_test.astype(float).mean())
    assert found.tolist() == [base - table.scores[best_of(table)], 0.0, 0.0]


@pytest.mark.parametrize("trials", [2, 6])
def test_the_regret_at_random_is_the_expected_one(trials):
    table = curves.table(methods=2, rates=5, seeds=1)
    # Each search chooses the best of so many that are drawn without replacement.
    ordered = sorted(table.scores.values())
    ways = math.comb(len(ordered), trials)
    expected = sum(
        (value - ordered[0]) * math.comb(len(ordered) - place - 1, trials - 1) / ways
        for place, value in enumerate(ordered)
    )
    courses = [replay(table, trials=trials, seed=seed).run() for seed in range(300)]
    assert {course.steps for course in courses} == {trials * WHOLE}
    found = regrets(table, courses, [trials * WHOLE])[:, 0]
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert abs(found.mean() - expected) < 4 * error
    # A test that could not tell two numbers of trials apart would say nothing.
    assert error < expected / 8


def test_two_replicas_run_side_by_side_and_swaps_take_time():
    course = replay(curves.table(), trials=4, swap_steps=7.0).run()
    assert (course.steps, course.time) == (4 * WHOLE, 2 * (WHOLE + 7.0))
    alone = replay(curves.table(), trials=4, swap_steps=7.0, replicas=1).run()
    assert (alone.steps, alone.time) == (4 * WHOLE, 4 * (WHOLE + 7.0))
    # Begun are also those that are suggested ahead and those that the budget ends.
    assert (course.trials, alone.trials) == (7, 6)


def spent_on(done: Replay) -> int:
    """The steps of all trials, each up to its last evaluation, once."""
    return sum(curves.STEPS[trial.done - 1] for trial in done._trials.values() if trial.done)


@pytest.mark.parametrize("reduction", [2.0, 3.0])
def test_what_is_paused_and_promoted_spends_exactly_the_steps_that_were_asked(reduction):
    table = curves.table(noise=0.05)
    rule = partial(_promotion, reduction=reduction)
    done = replay(table, rule=rule, make=TPE, trials=8, swap_steps=20.0)
    course = done.run()
    assert course.steps == spent_on(done)
    evaluations = [trial.done for trial in done._trials.values()]
    assert {1, 12} <= set(evaluations)
    assert course.steps <= 8 * WHOLE
    # More changes than trials: some went on later.
    assert course.swaps > sum(count > 0 for count in evaluations)
    whole = [x for x in done._study.trials if x.state == TrialState.COMPLETE]
    assert len(whole) == evaluations.count(12)


def _promotion(evaluations: int, *, reduction: float) -> Promotion:
    return Promotion(AshaSpec(grace=1, reduction=reduction), evaluations=evaluations)


def test_the_best_third_of_a_rung_is_promoted_and_the_highest_rung_is_asked_first():
    rule = Promotion(AshaSpec(grace=1, reduction=3), evaluations=12)
    rows = np.zeros(1)
    for trial, value in enumerate([5.0, 4.0, 3.0]):
        assert rule.after(trial, evaluation=1, value=value, rows=rows) == "pause"
    assert rule.resumed() == 2
    assert rule.resumed() is None
    for trial, value in [(2, 3.0), (7, 2.0), (8, 1.0)]:
        assert rule.after(trial, evaluation=3, value=value, rows=rows) == "pause"
    for trial in (3, 4, 5):
        rule.after(trial, evaluation=1, value=1.0 + trial / 10, rows=rows)
    # Of six on the lowest rung two may go on.
    assert [rule.resumed() for _ in range(4)] == [8, 3, 4, None]
    assert rule.after(8, evaluation=4, value=1.0, rows=rows) == "on"


def test_asha_stops_trials_on_the_rungs_of_the_sweep_and_the_study_knows():
    done = replay(curves.table(noise=0.05), rule=by_name(TODAY).rule, trials=20)
    course = done.run()
    states = {trial.number: trial.state for trial in done._study.trials}
    by_state = {
        state: {t.done for t in done._trials.values() if states[t.number] == state}
        for state in (TrialState.PRUNED, TrialState.COMPLETE)
    }
    assert by_state[TrialState.PRUNED] == {3, 9}
    assert by_state[TrialState.COMPLETE] == {12}
    assert course.trials > 20


def test_a_constant_number_of_evaluations_owes_the_rest_of_the_best():
    table = curves.table()
    done = replay(table, rule=lambda _: Constant(3), trials=3, swap_steps=10.0, replicas=1)
    course = done.run()
    assert {trial.done for trial in done._trials.values()} <= {0, 1, 2, 3}
    rest = WHOLE - curves.STEPS[2]
    first = course.picks[0]
    assert (first.steps, first.time) == (curves.STEPS[2] + rest, 10 + curves.STEPS[2] + rest + 10)
    assert course.pick_at(WHOLE - 1) is None
    assert course.pick_at(WHOLE) == first
    complete = [x for x in done._study.trials if x.state == TrialState.COMPLETE]
    assert len(complete) == sum(trial.done == 3 for trial in done._trials.values()) > 8


def test_of_several_finalists_the_best_at_the_end_is_chosen():
    # Early on the last configuration looks best; at its end it is the worst.
    table = curves.table(
        methods=1, ranks=(8,), rates=4, seeds=1, loss=lambda cell: 0.5 + 0.1 * cell[2]
    )
    validation = table.validation.copy()
    validation[3, 2] = 0.1
    table = replace(table, validation=validation)
    rest = WHOLE - curves.STEPS[2]
    for finalists, rate in [(1, 3), (2, 0)]:
        rule = partial(_constant, finalists=finalists)
        course = replay(table, rule=rule, trials=50, replicas=1).run()
        last = course.picks[-1]
        assert last.cell == (0, 0, rate)
        spent = last.steps - finalists * rest
        assert spent in (30, 60, 90, 120)
        assert last.time == last.steps


def _constant(evaluations: int, *, finalists: int) -> Constant:
    return Constant(evaluations // 4, finalists)


def test_what_diverges_costs_its_steps_and_is_never_chosen():
    table = curves.table()
    worst = [cell for cell in table.cells if cell[2] >= 3]
    table = curves.table(diverged=worst)
    done = replay(table, trials=12)
    course = done.run()
    failed = [t for t in done._trials.values() if t.cell in worst and t.done == 2]
    assert len(failed) > 3
    whole = sum(t.done == 12 for t in done._trials.values())
    running = course.steps - 25 * len(failed) - WHOLE * whole
    assert 0 <= running < 2 * WHOLE
    states = {trial.number: trial.state for trial in done._study.trials}
    assert {states[trial.number] for trial in failed} == {TrialState.FAIL}
    assert not {pick.cell for pick in course.picks} & set(worst)


def test_a_space_that_is_exhausted_ends_the_search():
    table = curves.table(methods=1, ranks=(8,), rates=4, missing=[(0, 0, 2)])
    done = replay(table, trials=50)
    course = done.run()
    assert (course.trials, course.steps) == (3, 3 * WHOLE)
    assert {trial.cell for trial in done._trials.values()} == set(table.cells)


def test_size_and_rate_are_numbered_and_what_has_one_value_is_not_searched():
    space = space_of(curves.table(), {})
    points = space.points(most=1000)
    assert points is not None
    assert len(points) == 3 * 2 * 7
    assert points[-1] == {"method": "c", "size": 1, "rate": 6}
    (only,) = space_of(curves.table(methods=1, ranks=(8,)), {}).methods
    assert [axis.name for axis in only.axes] == ["rate"]


@pytest.mark.parametrize("contestant", CONTESTANTS, ids=lambda found: found.name)
def test_every_contestant_keeps_to_the_budget_and_repeats_itself(contestant):
    table = curves.table(noise=0.05, diverged=[(2, 0, 6), (1, 1, 5)])
    common = setting(8, swap_steps=15.0)
    first, again = (contestant.search(table, common, seed=3) for _ in range(2))
    assert first == again
    assert first.steps <= 8 * WHOLE
    # Two trials may be on their way when the budget is spent.
    assert first.steps > 6 * WHOLE or first.trials == len(table.cells)
    assert first.picks
    assert {pick.cell for pick in first.picks} <= set(table.cells)
    # Of some that were judged early, the one that is the best there need not be so at its end.
    losses = [pick.loss for pick in first.picks]
    is_whole = "1/" not in contestant.name
    assert losses == sorted(losses, reverse=True) or not is_whole
    other = contestant.search(table, common, seed=4)
    assert other.picks != first.picks


def test_contestants_have_names_of_their_own_and_today_is_one_of_them():
    names = [contestant.name for contestant in CONTESTANTS]
    assert len(set(names)) == len(names)
    assert TODAY in names
    assert {"random", "TPE", "TPE + promotion", "TPE + 1/4", "GP"} <= set(names)


def test_the_process_finds_a_bowl_sooner_than_chance():
    table = curves.table(methods=3, rates=7, seeds=1)
    common = setting(12)
    found = {
        name: regrets(
            table,
            [by_name(name).search(table, common, seed=seed) for seed in range(12)],
            [12 * WHOLE],
        ).mean()
        for name in ("random", "GP")
    }
    assert found["GP"] < found["random"] / 2


# What is concluded.


def test_the_interval_of_one_rival_is_that_of_the_paired_t_test():
    chance = np.random.default_rng(0)
    today, rival = chance.random(50), chance.random(50) - 0.2
    strata = np.zeros(50, np.int64)
    found = differences({"new": rival, "now": today}, "now", strata=strata)
    expected = stats.ttest_rel(rival, today).confidence_interval(0.95)
    assert found["new"].value == pytest.approx(float((rival - today).mean()))
    assert (found["new"].low, found["new"].high) == pytest.approx((expected.low, expected.high))
    assert found["new"].verdict == "better"
    same = differences({"new": today + 0.0, "now": today}, "now", strata=strata)
    assert same["new"].verdict == "not distinguishable"


def course(*picks: tuple[float, Cell]) -> Course:
    """A search that would choose these from these steps on; time is half of it."""
    found = [Pick(steps, steps / 2, cell, 1.0) for steps, cell in picks]
    return Course(found, steps=1200, time=600.0, trials=10, swaps=10)


def test_savings_are_the_steps_until_the_regret_is_todays():
    table = curves.table()
    best, worse = best_of(table), (2, 0, 0)
    today = [course((120, worse), (1000, best))] * 4
    courses = {
        "today": today,
        "sooner": [course((120, worse), (500, best))] * 4,
        "never": [course((120, worse))] * 4,
    }
    found = score(
        table, courses, notes=dict.fromkeys(courses, "-"), today="today", budget_steps=1200
    )
    assert found.equal_steps == 1000
    by = {result.name: result for result in found.of}
    assert by["today"].saving == 0
    assert by["today"].difference is None
    assert by["sooner"].saving == pytest.approx(0.5)
    assert by["sooner"].time_saving == pytest.approx(0.5)
    assert (by["never"].steps, by["never"].saving) == (None, None)
    assert by["never"].difference is not None
    assert by["never"].difference.verdict == "worse"
    assert by["sooner"].difference is not None
    assert by["sooner"].difference.verdict == "not distinguishable"
    assert found.winner is None
    # At 700 steps it has the regret that today's has at 1000.
    assert [result.name for result in found.reached] == ["sooner"]
    steps, curve = found.steps, by["today"].curve
    assert (len(steps), steps[-1]) == (120, 1200)
    assert curve[0] == pytest.approx(curves.BASE - table.scores[best], abs=ROUNDING)
    assert curve[-1] == 0


def test_the_winner_is_the_best_of_those_that_are_better():
    table = curves.table()
    cells = sorted(table.cells, key=table.scores.__getitem__)
    chance = np.random.default_rng(2)

    def searches(near: int) -> list[Course]:
        return [course((120, cells[near + chance.integers(6)])) for _ in range(40)]

    courses = {"today": searches(20), "good": searches(8), "better": searches(0)}
    found = score(
        table, courses, notes=dict.fromkeys(courses, "-"), today="today", budget_steps=1200
    )
    assert found.winner is not None
    assert found.winner.name == "better"
