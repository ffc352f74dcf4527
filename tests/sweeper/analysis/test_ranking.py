"""The best trial is one that is complete, and a sweep is one document."""

from __future__ import annotations

import gc
import json
import math

import pytest

from sweeper.analysis.conclusions import conclusions_of
from sweeper.analysis.ranking import rank, rank_sweep, ranking_of
from sweeper.analysis.score_table import score_table
from sweeper.estimates import Estimate, estimate_of
from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.report.document import sweep_result
from sweeper.tracking.final_result import FinalResult, write_final
from sweeper.tracking.record import TrialFailure, TrialRecord
from sweeper.tracking.row_scores import VALIDATION_ROWS, write_row_scores
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.opened import count_opened
from tests.sweeper.rows import row_scores

LOSS = ObjectiveSpec(metric="eval_loss", mode="min")
ACCURACY = ObjectiveSpec(metric="accuracy", mode="max")


def trial(number, value=None, *, metric="eval_loss", status="complete", **fields):
    metrics = {} if value is None else {metric: value}
    return TrialRecord(
        id=f"{number:012x}", number=number, method="masa", status=status, metrics=metrics, **fields
    )


def numbers(trials):
    return [trial.number for trial in trials]


def test_the_lowest_loss_is_the_best():
    ranking = rank([trial(0, 3.0), trial(1, 1.0), trial(2, 2.0)], LOSS)
    assert numbers(ranking.ranked) == [1, 2, 0]
    assert ranking.best is not None
    assert ranking.best.number == 1


def test_the_highest_accuracy_is_the_best():
    trials = [trial(n, value, metric="accuracy") for n, value in enumerate([0.3, 0.5, 0.4])]
    assert numbers(rank(trials, ACCURACY).ranked) == [1, 2, 0]


def test_of_equal_trials_the_earlier_is_the_best():
    ranking = rank([trial(2, 1.0), trial(0, 2.0), trial(1, 1.0)], LOSS)
    assert numbers(ranking.ranked) == [1, 2, 0]


@pytest.mark.parametrize("status", ["pruned", "failed", "running", "queued"])
def test_a_trial_that_is_not_complete_is_never_the_best(status):
    ranking = rank([trial(0, 0.1, status=status), trial(1, 5.0)], LOSS)
    assert numbers(ranking.ranked) == [1]
    assert numbers(ranking.others) == [0]
    assert rank([trial(0, 0.1, status=status)], LOSS).best is None


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_trial_without_a_number_is_never_the_best(value):
    assert numbers(rank([trial(0, value), trial(1, 5.0)], LOSS).ranked) == [1]


def test_the_others_stand_below_in_the_order_of_their_status():
    statuses = ["failed", "pruned", "queued", "running", "complete", "pruned"]
    trials = [trial(n, status=status) for n, status in enumerate(statuses)]
    ranking = rank(trials, LOSS)
    assert numbers(ranking.others) == [4, 3, 2, 1, 5, 0]
    assert numbers(ranking.trials) == [0, 1, 2, 3, 4, 5]
    assert ranking.counts() == {"complete": 1, "running": 1, "queued": 1, "pruned": 2, "failed": 1}


def test_of_stopped_trials_those_that_came_further_stand_first_and_of_these_the_better():
    ended = [(0.5, 10), (2.0, 20), (None, 20), (1.0, 20), (math.nan, 30)]
    trials = [
        trial(number, value, status="pruned", steps=steps)
        for number, (value, steps) in enumerate(ended)
    ]
    ranking = rank([trial(5, status="failed"), *trials], LOSS)
    assert numbers(ranking.others) == [4, 3, 1, 2, 0, 5]
    assert ranking.ahead is not None
    # What has no number is ahead of nobody.
    assert ranking.ahead.number == 3
    assert rank([trial(0, 1.0, status="failed"), trial(1, 1.0)], LOSS).ahead is None


# Scores.


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.23456, 0.0213, "1.235 ± 0.021"),
        (0.5125, 0.035, "0.512 ± 0.035"),
        (123.4, 12.3, "123 ± 12"),
        (1234.5, 250.0, "1234 ± 250"),
        (1.23456, None, "1.235"),
        (0.00012345, None, "0.0001234"),
        (2.0, 1e-12, "2.00000000 ± 0.00000000"),
    ],
)
def test_scores_are_as_exact_as_their_error(value, error, text):
    assert str(Estimate(value, error)) == text


def test_a_score_without_a_usable_error():
    assert estimate_of({"x": 1.0, "x_se": math.nan}, "x") == Estimate(1.0, None)
    assert estimate_of({"x_se": 1.0}, "x") is None


# The document.


def result_of(folder, tracking_uri=""):
    ranking = rank_sweep(folder)
    return sweep_result(folder, ranking, conclusions_of(folder, ranking), tracking_uri=tracking_uri)


@pytest.fixture
def sweep(tmp_path):
    document = {"objective": {"metric": "accuracy", "mode": "max"}}
    folder = SweepFolder.create(tmp_path, "masa-1", document=document)
    folder.note_base({"accuracy": 0.25, "other": math.nan})
    ends = [lambda t: t.complete(), lambda t: t.fail("DivergedError", "NaN"), lambda t: t.prune()]
    for number, end in enumerate(ends):
        made = folder.add_trial(
            f"{number:012x}", spec={}, number=number, method="lora", params={"rank": 8}
        )
        made.begin(trainable=5, total=100)
        made.append(4, {"accuracy": 0.5, "train_loss": math.nan if number == 1 else 1.0})
        end(made)
    folder.trial("0" * 12).adapter.mkdir()
    return folder


def test_to_rank_compares_no_record_with_another(monkeypatch):
    # A live table ranks hundreds of them twice a second.
    monkeypatch.setattr(TrialRecord, "__eq__", lambda *_: pytest.fail("records are compared"))
    ranking = rank([trial(0, 3.0), trial(1, 1.0), trial(2), trial(3, status="failed")], LOSS)
    assert (numbers(ranking.ranked), numbers(ranking.others)) == ([1, 0], [2, 3])


def test_the_document_of_a_sweep(sweep):
    assert rank_sweep(sweep).objective == ACCURACY
    text = json.dumps(result_of(sweep, tracking_uri="sqlite:///x"), allow_nan=False)
    document = json.loads(text)
    assert document["sweep"] == "masa-1"
    assert document["tracking_uri"] == "sqlite:///x"
    assert document["base"] == {"accuracy": 0.25, "other": None}
    assert document["best"] == document["trials"][0]
    first, failed, pruned = document["trials"]
    assert first["adapter"] == str(sweep.trial("0" * 12).adapter)
    assert {"id", "method", "params", "status", "steps", "metrics", "wall_time_s"} <= first.keys()
    assert (first["status"], first["steps"], first["percent"]) == ("complete", 4, 5.0)
    assert (failed["status"], failed["error"]) == ("failed", "DivergedError: NaN")
    assert failed["metrics"]["train_loss"] is None
    assert (pruned["status"], pruned["adapter"], pruned["error"]) == ("pruned", None, None)
    said = document["conclusions"]
    assert (said["metric"], said["design"], said["parity"]) == ("accuracy", None, [])
    assert said["sentences"][-2].startswith("Best by validation: trial 0 (lora), accuracy 0.5 ")


def test_the_document_without_a_best_trial(tmp_path):
    folder = SweepFolder.create(tmp_path, "empty", document={})
    document = result_of(folder)
    assert document["best"] is None
    assert document["base"] is None
    assert document["trials"] == []
    assert document["conclusions"]["sentences"] == [
        "No trial is complete with a score, so there is no best trial."
    ]
    assert document["objective"] == {"metric": "eval_loss", "mode": "min"}


def test_a_failure_before_the_first_step():
    record = trial(0, status="failed", error=TrialFailure(type="E", message="m"))
    assert rank([record], LOSS).best is None


# Reading.


def searched(home, trials):
    """A search of complete trials with their rows, of which the first was evaluated at the end."""
    folder = SweepFolder.create(home, "search", document={"search": {"trials": trials}})
    for number in range(trials):
        spec = {"method": {"rank": number}, "train": {"seed": number % 2}}
        made = folder.add_trial(f"{number:012x}", spec=spec, number=number, method="lora")
        made.begin()
        losses = [1.0 + number, 2.0, 3.0]
        made.append(1, {"eval_loss": sum(losses) / 3})
        rows = row_scores({"eval_loss": losses}, split="validation", step=1)
        write_row_scores(made.path / VALIDATION_ROWS, rows)
        made.complete()
    result = FinalResult(split="test", rows=3, rows_in_split=3, metrics={"eval_loss": 1.0})
    write_final(folder.trial("0" * 12).path, result, row_scores({"eval_loss": [1.0, 2.0, 3.0]}))
    return folder


@pytest.mark.parametrize("trials", [3, 12])
def test_a_report_reads_each_file_of_a_trial_once(tmp_path, monkeypatch, trials):
    folder = SweepFolder(searched(tmp_path, trials).path)
    opened = count_opened(monkeypatch)
    document = result_of(folder)
    assert len(document["trials"]) == trials
    assert document["trials"][0]["final"] is not None
    assert document["conclusions"]["statements"]
    assert (opened["spec.json"], opened["record.json"]) == (trials, trials)
    # The sweep has files of these names, too, and the best trial stands in the document twice.
    names = (VALIDATION_ROWS, "final_rows.npz", "taken_from.json")
    assert {name: opened[name] for name in names} == dict.fromkeys(names, trials + 1)
    # Once among the damage, once as the result of the frozen base.
    assert opened["final.json"] == trials + 2


def test_a_ranking_reads_no_more_than_the_records(tmp_path, monkeypatch):
    folder = SweepFolder(searched(tmp_path, 5).path)
    opened = count_opened(monkeypatch)
    assert numbers(ranking_of(folder).ranked) == [0, 1, 2, 3, 4]
    assert opened["record.json"] == 5
    assert {"spec.json", VALIDATION_ROWS, "final.json"}.isdisjoint(opened)


def test_the_files_that_a_ranking_has_read_are_those_of_its_trials(tmp_path):
    folder = searched(tmp_path, 3)
    (folder.trial(f"{1:012x}").path / "spec.json").write_text("{")
    ranking = rank_sweep(folder)
    assert ranking.seeds == {f"{0:012x}": 0, f"{2:012x}": 0}
    assert ranking.validation.keys() == {f"{number:012x}" for number in range(3)}
    assert ranking.finals.keys() == ranking.rows.keys() == {"0" * 12}
    # What the table has of the files and of the ranking is the same.
    table = score_table(folder, "eval_loss", "validation", by_trial=True, ranking=ranking)
    again = score_table(folder, "eval_loss", "validation", by_trial=True)
    assert [x.name for x in table.configurations] == [x.name for x in again.configurations]
    assert len(table.configurations) == 2


@pytest.mark.parametrize("is_on", [True, False])
def test_no_garbage_is_sought_while_files_are_read_and_then_as_before(tmp_path, is_on, monkeypatch):
    folder, seen = searched(tmp_path, 2), []

    def damage(*, keep):
        seen.append(gc.isenabled())
        raise OSError("gone")

    monkeypatch.setattr(folder, "damage", damage)
    (gc.enable if is_on else gc.disable)()
    try:
        with pytest.raises(OSError, match="gone"):
            rank_sweep(folder)
        assert (seen, gc.isenabled()) == ([False], is_on)
    finally:
        gc.enable()
