from dataclasses import replace

import numpy as np

from sweeper.data.row_order import RowOrder
from sweeper.estimates import mean_estimate
from sweeper.evaluation.racing import Contest, RaceTerms
from sweeper.tracking.racing import Incumbents
from sweeper.tracking.row_scores import RowScores

COUNT = 100
ORDER = RowOrder("ab" * 8, ("",) * COUNT, None)


def contest(folder, trial_id="mine", **changes) -> Contest:
    standard = {"level": 1e-3, "first_rows": 32, "seed": 0, "grace": 1}
    return Contest(Incumbents(folder), trial_id, RaceTerms(**(standard | changes)))


def scores(losses, rows=None) -> RowScores:
    found = {"eval_loss": mean_estimate(losses).on_rows(rows or range(len(losses)))}
    return RowScores.of(found, ORDER, split="validation")


def order_of(race) -> list[int]:
    return [row for block in race.rows() for row in block]


def test_the_first_trial_has_no_race(tmp_path):
    assert contest(tmp_path).race(1, ORDER, range(COUNT)) is None


def test_a_trial_races_with_the_best_other_one(tmp_path):
    for name, loss in (("far", 3.0), ("near", 2.0), ("mine", 1.0)):
        contest(tmp_path, name).finish(1, scores([loss] * COUNT))
    # Its own evaluation has taken away all that were behind it.
    assert contest(tmp_path).race(1, ORDER, range(COUNT)) is None
    race = contest(tmp_path, "other").race(1, ORDER, range(COUNT))
    assert (race.incumbent, race.level) == ("mine", 1e-3)
    assert sorted(order_of(race)) == list(range(COUNT))
    assert contest(tmp_path, "other").race(2, ORDER, range(COUNT)) is None


def test_the_order_of_the_rows_is_one_for_all_trials_and_evaluations_of_a_sweep(tmp_path):
    for evaluation in (1, 2):
        contest(tmp_path, "best").finish(evaluation, scores([1.0] * COUNT))
    races = [contest(tmp_path, name).race(1, ORDER, range(COUNT)) for name in ("a", "b")]
    races.append(contest(tmp_path, "a").race(2, ORDER, range(COUNT)))
    assert len({tuple(order_of(race)) for race in races}) == 1
    other = contest(tmp_path, "a", seed=1).race(1, ORDER, range(COUNT))
    assert order_of(other) != order_of(races[0])
    assert order_of(races[0]) != sorted(order_of(races[0]))


def test_before_the_grace_is_over_all_rows_are_asked(tmp_path):
    for evaluation in (1, 2):
        contest(tmp_path, "best").finish(evaluation, scores([1.0] * COUNT))
    graced = contest(tmp_path, grace=2)
    assert graced.race(1, ORDER, range(COUNT)) is None
    assert graced.race(2, ORDER, range(COUNT)) is not None


def test_one_that_was_asked_fewer_rows_is_not_raced_with(tmp_path):
    contest(tmp_path, "best").finish(1, scores([1.0] * 50, range(50)))
    assert contest(tmp_path).race(1, ORDER, range(COUNT)) is None
    assert contest(tmp_path).race(1, ORDER, range(50)) is not None


def test_rows_of_a_unit_stay_together(tmp_path):
    order = replace(ORDER, clusters=tuple(np.repeat(np.arange(50), 2).tolist()))
    contest(tmp_path, "best").finish(1, scores([1.0] * COUNT))
    race = contest(tmp_path).race(1, order, range(COUNT))
    rows = order_of(race)
    assert all(a // 2 == b // 2 for a, b in zip(rows[::2], rows[1::2], strict=True))
