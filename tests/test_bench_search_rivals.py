"""Racing and expected rates in the replay bench, held to tables with known answers."""

from dataclasses import replace

import numpy as np
import optuna
import pytest

from benchmarks.search.contestants import by_name, sampler_of
from benchmarks.search.expected import expected_rates, informed
from benchmarks.search.racing import Racing
from benchmarks.search.replay import Replay, Setting
from sweeper.experiment.sweep import RacingSpec
from tests import curves

ROWS = 128


def losses(mean: float, *, seed: int) -> np.ndarray:
    return mean + 0.1 * np.random.default_rng(seed).standard_normal(ROWS)


def test_a_trial_that_is_far_behind_loses_and_one_that_is_equal_goes_on():
    rule = Racing(RacingSpec(), evaluations=12)

    def after(trial: int, rows: np.ndarray, evaluation: int = 2) -> str:
        return rule.after(trial, evaluation=evaluation, value=float(rows.mean()), rows=rows)

    best = losses(1.0, seed=0)
    assert after(0, best) == "on"
    assert after(1, losses(2.0, seed=1)) == "stop"
    assert after(2, best + losses(0.0, seed=2)) == "on"
    # Nobody was there before.
    assert after(3, losses(2.0, seed=3), evaluation=3) == "on"
    assert rule.lost == {1: 0}


def test_the_one_to_beat_is_the_best_so_far():
    rule = Racing(RacingSpec(), evaluations=12)
    for trial, mean in enumerate((2.0, 1.0, 2.0)):
        rows = losses(mean, seed=trial)
        action = rule.after(trial, evaluation=1, value=float(rows.mean()), rows=rows)
    assert action == "stop"
    assert rule.lost == {2: 1}


def test_races_save_steps_and_what_they_stop_wrongly_is_counted():
    table = curves.table(rows=ROWS)
    racing = by_name("TPE + racing").search(table, Setting(1200, 0.0), seed=0)
    whole = by_name("TPE").search(table, Setting(1200, 0.0), seed=0)
    assert racing.trials > whole.trials
    assert racing.lost > 0
    # Curves of this table never cross.
    assert racing.lost_wrongly == 0
    # And here each one that is behind until the last evaluation is ahead at it.
    turned = table.validation.copy()
    turned[:, :-1] = 6.0 - turned[:, :-1]
    crossed = by_name("TPE + racing").search(
        replace(table, validation=turned), Setting(1200, 0.0), seed=0
    )
    # Early differences are of the size of float16's own.
    assert crossed.lost_wrongly > 0.8 * crossed.lost > 0


def test_the_expected_rate_is_the_best_one_of_the_other_size():
    def loss(cell: tuple[int, int, int]) -> float:
        method, size, rate = cell
        return 1.0 + (rate - (2 + method if size else 4)) ** 2 * 0.1

    found = expected_rates(curves.table(loss=loss), seed=0)
    assert {key: place for key, place in found.items() if key[1] == 0} == {
        ("a", 0): 2, ("b", 0): 3, ("c", 0): 4,
    }  # fmt: skip
    assert {place for (_, size), place in found.items() if size == 1} == {4}


def test_a_search_sees_nothing_of_its_own_seed():
    table = curves.table(noise=0.5)
    changed = table.validation.copy()
    changed[table.seed == 0] = np.random.default_rng(0).uniform(
        0, 5, changed[table.seed == 0].shape
    )
    assert expected_rates(table, seed=0) == expected_rates(
        replace(table, validation=changed), seed=0
    )


@pytest.mark.parametrize("name", ["expected rate, TPE", "expected rate, GP + 1/4"])
def test_each_method_is_tried_once_at_its_expected_rate_before_any_is_tried_again(name):
    table = curves.table(methods=5)
    orders = set()
    for seed in range(3):
        rates = expected_rates(table, seed=seed % 2)
        done = by_name(name).replay(table, Setting(20 * curves.STEPS[-1], 0.0), seed=seed)
        done.run()
        begun = [x.params for x in done._study.trials if x.params]
        orders.add(tuple(x["method"] for x in begun[:5]))
        assert sorted(x["method"] for x in begun[:5]) == sorted(table.about.methods)
        assert all(x["rate"] == rates[x["method"], x["size"]] for x in begun[:5])
        assert len(begun) > 8
    # In the order of a file, which may be any.
    assert len(orders) > 1


def test_the_first_trial_of_a_method_has_the_expected_rate_and_later_ones_have_not():
    table = curves.table(methods=2)
    rates = {(name, size): 6 for name in table.about.methods for size in (0, 1)}
    done = Replay(
        table,
        Setting(20 * curves.STEPS[-1], 0.0),
        make_sampler=informed(sampler_of("random"), rates),
        make_rule=by_name("random").rule,
        seed=3,
    )
    done.run()
    trials = [x for x in done._study.trials if x.state == optuna.trial.TrialState.COMPLETE]
    by_method = {
        name: [x.params["rate"] for x in trials if x.params["method"] == name]
        for name in table.about.methods
    }
    assert all(found[0] == 6 for found in by_method.values())
    assert any(rate != 6 for found in by_method.values() for rate in found[1:])
