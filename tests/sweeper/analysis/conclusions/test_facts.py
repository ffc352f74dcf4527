"""What is said of the chosen trial: by what it was chosen, and what it is worth on other rows."""

from __future__ import annotations

import re

import pytest

from sweeper.analysis.conclusions.facts import facts_of
from sweeper.analysis.ranking import rank_sweep
from sweeper.analysis.statistics.verdicts import PLAIN
from sweeper.tracking import FinalResult, SweepFolder, write_final

LOSS = {"objective": {"metric": "eval_loss", "mode": "min"}}


@pytest.fixture
def folder(tmp_path):
    return SweepFolder.create(tmp_path, "one", document=LOSS)


def add(folder, loss, *, end="complete"):
    number = len(folder.trials())
    trial = folder.add_trial(f"{number:012x}", spec={"n": number}, number=number, method="lora")
    trial.begin()
    trial.append(3, {"eval_loss": loss, "eval_loss_se": 0.02})
    if end == "complete":
        trial.complete()
    else:
        trial.prune()
    return trial


def said(folder):
    return list(facts_of(rank_sweep(folder), PLAIN, None))


def final(loss, **fields):
    metrics = {"eval_loss": loss}
    return FinalResult(
        **{"split": "test", "rows": 10, "rows_in_split": 10, "metrics": metrics, **fields}
    )


@pytest.mark.parametrize("ends", [[], ["prune"]])
def test_without_a_complete_trial_there_is_no_best(folder, ends):
    for end in ends:
        add(folder, 1.0, end=end)
    assert said(folder) == ["No trial is complete with a score, so there is no best trial."]


def test_the_only_trial_was_chosen_among_none(folder):
    add(folder, 1.25)
    assert said(folder) == [
        "Best by validation: trial 0 (lora), eval_loss 1.250 ± 0.020 (lower is better); it is the "
        "only complete trial."
    ]


def test_a_choice_flatters_by_an_unknown_amount_where_no_rows_were_kept(folder):
    add(folder, 1.5)
    add(folder, 1.25)
    (text,) = said(folder)
    assert text.startswith("Best by validation: trial 1 (lora), eval_loss 1.250 ± 0.020 (lower is")
    assert text.endswith(", chosen among 2 trials on these rows, which flatters it.")


def test_the_test_score_is_the_score_and_the_base_stands_beside_it(folder):
    trial = add(folder, 1.0)
    folder.note_base({"eval_loss": 2.5})
    base = "The frozen base has eval_loss 2.5 on the validation rows."
    assert said(folder)[1:] == [base]
    write_final(trial.path, final(1.5, rows_left_out=2))
    tested = (
        "On 10 rows of the test split (2 left out: answer too long), which chose nothing, it has "
        "eval_loss 1.5."
    )
    assert said(folder)[1:] == [tested, base]
    write_final(folder.path, final(2.75))
    assert said(folder)[1:] == [tested, "The frozen base has 2.75 there."]


def test_rows_of_validation_chose_it(folder):
    write_final(add(folder, 1.0).path, final(1.5, split="validation"))
    assert "On 10 rows of the validation split, which chose it, it has" in said(folder)[1]


@pytest.mark.parametrize(
    ("fields", "why"),
    [({"error": "OSError: no room"}, "OSError: no room"), ({}, "it reports no eval_loss")],
)
def test_a_score_that_is_missing_has_a_reason(folder, fields, why):
    write_final(add(folder, 1.0).path, final(0.0, metrics={}, **fields))
    assert said(folder)[1] == f"No final score of trial 0 (lora): {why}."


def test_no_difference_between_trials_is_said(folder):
    for loss in (1.0, 1.2, 1.4):
        add(folder, loss)
    text = " ".join(said(folder))
    assert not re.search("ahead|distinguish|better than|worse|standard error", text)


def test_those_that_were_stopped_early_were_candidates_too(folder):
    add(folder, 1.5, end="prune")
    add(folder, 1.25)
    assert said(folder)[0].endswith(
        ", chosen among 1 complete trial and 1 that was stopped early on these rows, which "
        "flatters it."
    )
