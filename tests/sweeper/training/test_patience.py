"""A trial that has stopped improving ends by itself, is complete, and resumes as it was."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeper.errors import TrialError
from sweeper.estimates import Estimate
from sweeper.experiment.trial import TrialSpec
from sweeper.tracking.row_scores import VALIDATION_ROWS, read_row_scores
from sweeper.training import train
from sweeper.training.patience import Waiting
from tests.sweeper import scenarios, tiny

LOSS = {"metric": "eval_loss", "mode": "min"}
# More than any loss of the tiny model falls: from the second evaluation on nothing is improved.
NEVER = 100.0


def patient(*, objective=LOSS, **settings) -> TrialSpec:
    """A trial of six evaluations, one a step."""
    standard = {"steps": 6, "evaluations": 6, "patience": 2}
    made = tiny.trial(**(standard | settings)).model_dump(mode="json")
    return TrialSpec.model_validate({**made, "objective": objective})


def waited(values, *, mode="min", least=0.0):
    """After how many evaluations in a row without improvement each value leaves a trial."""
    spec = patient(objective={"metric": "x", "mode": mode}, min_improvement=least)
    waiting, found = Waiting(), []
    for value in values:
        waiting = waiting.after({"x": Estimate(value)}, spec)
        found.append(waiting.evaluations)
    return found


def test_only_what_is_better_than_the_last_improvement_counts():
    assert waited([3.0, 2.0, 2.0, 2.5, 1.9]) == [0, 0, 1, 2, 0]
    assert waited([3.0, 2.0, 2.5, 3.0, 3.1], mode="max") == [0, 1, 2, 3, 0]
    # Small steps add up: what counts is the distance to the last improvement.
    assert waited([3.0, 2.75, 2.5, 2.25], least=0.5) == [0, 1, 0, 1]
    assert waited([3.0, 2.5], least=0.5) == [0, 0]


def test_what_is_no_number_is_no_improvement():
    assert waited([math.nan, math.nan, 2.0, math.inf, -math.inf]) == [1, 2, 0, 1, 2]


def test_patience_is_over_at_its_number():
    spec = patient(patience=3)
    assert [Waiting(evaluations=n).is_over(spec) for n in range(5)] == [
        *(False, False, False, True, True)
    ]
    assert not Waiting(evaluations=9).is_over(tiny.trial())


def test_without_patience_nothing_is_counted():
    assert Waiting().after({"eval_loss": Estimate(1.0)}, tiny.trial()) == Waiting()


def test_an_evaluation_without_the_objective_says_what_there_is():
    spec = patient(objective={"metric": "rouge_l", "mode": "max"})
    message = "waits for rouge_l, which this evaluation does not report; it reports accuracy, eval"
    with pytest.raises(TrialError, match=message):
        Waiting().after({"eval_loss": Estimate(1.0), "accuracy": Estimate(1.0)}, spec)


def ended(folder: Path) -> tuple[int | None, set[str]]:
    """The step of the rows that were kept, and the names in the adapter."""
    rows = read_row_scores(folder / VALIDATION_ROWS)
    return (None if rows is None else rows.step), set(tiny.weights(folder))


def test_a_trial_that_does_not_improve_ends_complete_with_all_that_a_complete_one_leaves(tmp_path):
    spec = patient(min_improvement=NEVER)
    ((outcome, steps, _, reports),) = scenarios.run(scenarios.attempt, 1, spec, tmp_path)
    # The first evaluation sets what is to be beaten, two more do not beat it.
    assert (outcome.status, outcome.ended_by, outcome.steps) == ("complete", "patience", 3)
    assert steps == [1, 2, 3]
    # The last report is final: nobody is asked whether the trial goes on.
    assert [(step, final) for step, _, final in reports] == [(1, False), (2, False), (3, True)]
    # It counts with its last evaluation, and its rows and its weights are of the same step.
    step, names = ended(tmp_path)
    assert step == 3
    assert names
    assert outcome.metrics["eval_loss"].value == reports[-1][1]["eval_loss"]


def test_a_trial_that_improves_trains_all_its_steps_with_the_losses_of_one_without(tmp_path):
    plain = tiny.trial(steps=6, evaluations=6)
    cases: list[tuple[Any, ...]] = [(plain, tmp_path / "plain", {})]
    cases.append((patient(patience=4), tmp_path / "patient", {}))
    ((without, own),) = scenarios.run(scenarios.attempts, 1, cases)
    assert own[2] == without[2]
    assert len(own[2]) == 6
    assert (own[0].status, own[0].ended_by) == ("complete", "")


def test_the_learning_rate_is_that_of_the_whole_length(tmp_path):
    spec = patient(min_improvement=NEVER)
    ((short, whole),) = scenarios.run(
        logged, 1, [spec, tiny.trial(steps=6, evaluations=6)], tmp_path
    )
    assert len(short) == 3
    assert short == whole[:3]


def logged(specs, folder):
    found = []
    for number, spec in enumerate(specs):
        progress = tiny.Recorded()
        train(spec, tiny.base(), folder=folder / str(number), progress=progress)
        found.append([one["learning_rate"] for one in progress.logged])
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_one_that_is_killed_while_it_waits_ends_at_the_same_evaluation(tmp_path, workers):
    spec = patient(min_improvement=NEVER, workers=workers, patience=3)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    # It breaks off at its second evaluation, which has waited once.
    cases: list[tuple[Any, ...]] = [(spec, whole, {}), (spec, cut, {"fail_at": 2}), (spec, cut, {})]
    (found, *_) = scenarios.run(scenarios.attempts, workers, cases)
    (through, _, _, reports), (died, *_), (resumed, steps, _, reports_after) = found
    assert "the pool is gone" in died
    assert (resumed.resumed_at, steps) == (2, [3, 4])
    assert (through.steps, resumed.steps) == (4, 4)
    assert (resumed.status, resumed.ended_by) == ("complete", "patience")
    assert reports_after == reports[1:]
    one, other = tiny.weights(whole), tiny.weights(cut)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_one_whose_patience_was_over_trains_nothing_more_when_it_resumes(tmp_path):
    spec = patient(min_improvement=NEVER)
    cases: list[tuple[Any, ...]] = [(spec, tmp_path, {}), (spec, tmp_path, {})]
    ((_, (again, steps, _, reports)),) = scenarios.run(scenarios.attempts, 1, cases)
    assert steps == []
    assert [(step, final) for step, _, final in reports] == [(3, True)]
    assert (again.status, again.ended_by, again.steps) == ("complete", "patience", 3)


def test_a_checkpoint_that_does_not_say_how_long_it_has_waited_is_passed_over(tmp_path):
    spec = patient(min_improvement=NEVER, patience=3)
    scenarios.run(scenarios.attempts, 1, [(spec, tmp_path, {"fail_at": 2})])
    for path in (tmp_path / "checkpoint").glob("step-*/manifest.json"):
        content = json.loads(path.read_text())
        assert content["progress"].pop("waiting")["evaluations"] in (0, 1)
        path.write_text(json.dumps(content))
    ((outcome, steps, *_),) = scenarios.run(scenarios.attempt, 1, spec, tmp_path)
    assert (outcome.resumed_at, outcome.steps, steps) == (0, 4, [1, 2, 3, 4])


def test_one_that_the_search_ends_while_it_waits_is_pruned(tmp_path):
    spec = patient(min_improvement=NEVER, patience=3)
    case = (spec, tmp_path, {"stop_at": 2})
    (((outcome, *_),),) = scenarios.run(scenarios.attempts, 1, [case])
    assert (outcome.status, outcome.ended_by, outcome.steps) == ("pruned", "", 2)
