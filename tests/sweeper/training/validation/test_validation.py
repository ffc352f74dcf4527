"""A trial that races: what it asks, what it leaves behind, and how it is resumed."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from sweeper.data import Splits
from sweeper.data.row_order import row_order
from sweeper.estimates import mean_estimate
from sweeper.evaluation.racing import Contest, RaceTerms
from sweeper.evaluation.scoring import frozen_forward
from sweeper.models.frozen import FrozenBase
from sweeper.tracking.racing import Incumbents
from sweeper.tracking.row_scores import VALIDATION_ROWS, RowScores, read_row_scores
from sweeper.training import train
from sweeper.training.validation import Validation
from tests.sweeper import scenarios, tiny

ROWS = 120
# Batches of a block round sums of float32 otherwise than those of all rows do.
ROUNDING = 1e-5
FAR, NEAR = 0.0, 50.0
"""Losses of the best before, of which no row of the tiny model is better, or all are."""


def wide() -> FrozenBase:
    """The tiny base, with more rows to be asked."""
    made = tiny.base()
    splits = Splits(tiny.examples(0, 40), tiny.examples(100, 100 + ROWS), tiny.examples(300, 310))
    return replace(made, data=replace(made.data, splits=splits))


def spec(**settings):
    return tiny.trial(**({"steps": 6, "evaluations": 3, "eval_examples": ROWS} | settings))


def contest(folder: Path, **changes) -> Contest:
    standard = {"level": 1e-3, "first_rows": 32, "seed": 0, "grace": 1}
    return Contest(Incumbents(folder / "sweep"), "mine", RaceTerms(**(standard | changes)))


def put_best(folder: Path, base: FrozenBase, evaluation: int, loss: float) -> None:
    """Puts another trial there that has lost so much on each row."""
    questions = base.data.questions(max_length=16, count=ROWS)
    order = row_order(questions, generates=False)
    # Not all the same: a bound is made of differences.
    losses = [loss + 0.01 * (row % 7) for row in range(len(order.tasks))]
    found = {"eval_loss": mean_estimate(losses).on_rows(range(len(losses)))}
    scores = RowScores.of(found, order, split="validation")
    Incumbents(folder / "sweep").add(evaluation, "best", scores)


@dataclass
class Counted:
    """The frozen model, and how many rows it has been asked."""

    base: FrozenBase
    rows: int = 0

    def __call__(self, **inputs):
        self.rows += len(inputs["input_ids"])
        return frozen_forward(self.base)(**inputs)


def validated(folder: Path, base: FrozenBase, *, contest: Contest | None):
    asked = Counted(base)
    made = Validation(spec(), base, folder, virtual_tokens=0, contest=contest)
    with torch.no_grad():
        return made.evaluate(asked, evaluation=1), asked.rows


@pytest.fixture(scope="module")
def base():
    return wide()


def test_without_a_race_all_rows_are_asked(tmp_path, base):
    plain, rows = validated(tmp_path, base, contest=None)
    first, again = validated(tmp_path, base, contest=contest(tmp_path))
    assert (plain.lost_to, plain.is_cut, rows, again) == ("", False, ROWS, ROWS)
    assert first == plain
    assert plain.metrics["eval_loss"].count == ROWS


def test_a_trial_that_is_behind_is_asked_the_rows_that_it_takes(tmp_path, base):
    put_best(tmp_path, base, 1, FAR)
    found, rows = validated(tmp_path, base, contest=contest(tmp_path))
    assert (found.is_cut, found.lost_to, dict(found.metrics)) == (True, "best", {})
    assert 32 <= rows < ROWS / 1.5
    assert found.facts["racing_rows"] == rows
    assert found.facts["racing_rows_in_all"] == ROWS
    assert 0 < found.facts["racing_at_least"] < found.facts["racing_difference"]


def test_a_trial_that_is_ahead_has_the_metrics_of_all_rows(tmp_path, base):
    plain, _ = validated(tmp_path, base, contest=None)
    put_best(tmp_path, base, 1, NEAR)
    found, rows = validated(tmp_path, base, contest=contest(tmp_path))
    assert (found.lost_to, found.facts, rows) == ("", {}, ROWS)
    assert found.metrics.keys() == plain.metrics.keys()
    for name, one in found.metrics.items():
        assert one.value == pytest.approx(plain.metrics[name].value, rel=ROUNDING)
        assert one.rows == plain.metrics[name].rows


def test_a_race_that_the_last_block_decides_leaves_all_metrics(tmp_path, base):
    plain, _ = validated(tmp_path, base, contest=None)
    put_best(tmp_path, base, 1, FAR)
    found, rows = validated(tmp_path, base, contest=contest(tmp_path, first_rows=100))
    assert (found.is_cut, found.lost_to, rows) == (False, "best", ROWS)
    assert found.metrics["eval_loss"].value == pytest.approx(
        plain.metrics["eval_loss"].value, rel=ROUNDING
    )


def raced(folder, *, best=(), fate=None, workers_spec=None, **changes):
    """Trains a trial that races; returns its outcome, and what was reported. Of a worker."""
    base = wide()
    for evaluation, loss in best:
        put_best(folder, base, evaluation, loss)
    progress = tiny.Recorded(**(fate or {}))
    trial = workers_spec or spec()
    try:
        outcome = train(
            trial, base, folder=folder, progress=progress, contest=contest(folder, **changes)
        )
    except InterruptedError:
        outcome = None
    return outcome, progress.steps, [(step, metrics) for step, metrics, _ in progress.reports]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_trial_that_loses_is_pruned_with_the_metrics_of_the_evaluation_before(tmp_path, workers):
    found = scenarios.run(_raced_at_the_last, workers, tmp_path, workers)
    for outcome, _, _ in found:
        assert (outcome.status, outcome.ended_by, outcome.steps) == ("pruned", "race with best", 6)
        assert outcome.race_facts["racing_rows"] < ROWS
    outcome, steps, reports = found[0]
    assert steps == [1, 2, 3, 4, 5, 6]
    # Nobody hears of the evaluation on a part of the rows, though it was the trial's last one.
    assert [step for step, _ in reports] == [2, 4]
    assert outcome.metrics["eval_loss"].value == reports[-1][1]["eval_loss"]
    assert read_row_scores(tmp_path / VALIDATION_ROWS) is None
    assert tiny.weights(tmp_path)
    # Others are compared with what it has done before.
    entered = {path.parent.name: path.stem for path in (tmp_path / "sweep").rglob("*.npz")}
    assert entered == {"1": "mine", "2": "mine", "3": "best"}


def _raced_at_the_last(folder, workers):
    return raced(folder, best=[(3, FAR)], workers_spec=spec(workers=workers))


def test_one_that_loses_at_once_has_no_metrics_at_all(tmp_path):
    ((outcome, steps, reports),) = scenarios.run(_raced_at_the_first, 1, tmp_path)
    assert (outcome.status, outcome.metrics, outcome.steps, reports) == ("pruned", {}, 2, [])
    assert steps == [1, 2]


def _raced_at_the_first(folder):
    return raced(folder, best=[(1, FAR)])


def test_one_that_loses_none_is_trained_as_without_races(tmp_path):
    ((found, plain),) = scenarios.run(_with_and_without, 1, tmp_path)
    outcome, steps, reports = found
    assert (outcome.status, outcome.ended_by, outcome.race_facts) == ("complete", "", {})
    assert steps == plain[1]
    assert [step for step, _ in reports] == [2, 4, 6]
    for (_, metrics), (_, others, _) in zip(reports, plain[3], strict=True):
        assert metrics["eval_loss"] == pytest.approx(others["eval_loss"], rel=ROUNDING)
    rows = read_row_scores(tmp_path / VALIDATION_ROWS)
    assert rows.step == 6


def _with_and_without(folder):
    best = [(1, NEAR), (2, NEAR), (3, NEAR)]
    return raced(folder, best=best), scenarios.attempt(spec(), folder / "plain", base=wide())


def test_one_that_dies_before_its_end_is_written_holds_the_race_again(tmp_path):
    ((died, again),) = scenarios.run(_killed, 1, tmp_path)
    assert died[0] is None
    outcome, steps, reports = again
    # From the checkpoint of the evaluation that it had passed; its report is repeated.
    assert steps == [3, 4]
    assert [step for step, _ in reports] == [2]
    assert (outcome.status, outcome.ended_by, outcome.steps) == ("pruned", "race with best", 4)
    # A second time finds the same: the end was not kept as a checkpoint.
    ((third, *_),) = scenarios.run(raced, 1, tmp_path)
    assert (third.status, third.ended_by, third.steps) == ("pruned", "race with best", 4)


def _killed(folder):
    died = raced(folder, best=[(2, FAR)], fate={"die_at": 3})
    return died, raced(folder)


def test_a_race_that_all_rows_decide_is_reported_and_then_ends_the_trial(tmp_path):
    ((outcome, _, reports),) = scenarios.run(_decided_by_all, 1, tmp_path)
    assert (outcome.status, outcome.ended_by, outcome.steps) == ("pruned", "race with best", 4)
    assert [step for step, _ in reports] == [2, 4]
    assert outcome.metrics["eval_loss"].value == reports[-1][1]["eval_loss"]


def _decided_by_all(folder):
    return raced(folder, best=[(2, FAR)], first_rows=100)


def test_a_whole_evaluation_at_the_end_makes_a_trial_complete_whoever_is_ahead(tmp_path):
    ((outcome, _, reports),) = scenarios.run(_decided_at_the_end, 1, tmp_path)
    assert (outcome.status, outcome.ended_by, outcome.race_facts) == ("complete", "", {})
    assert reports[-1][0] == 6


def _decided_at_the_end(folder):
    return raced(folder, best=[(3, FAR)], first_rows=100)
