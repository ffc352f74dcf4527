"""The names of metrics: results first, errors and costs apart."""

from __future__ import annotations

from datetime import UTC, datetime

from sweeper.tracking.final_result import FinalResult
from sweeper.tracking.mlflow_view.content import (
    final_metrics,
    shown_first,
    shown_metrics,
    summary_metrics,
    trial_metrics,
)
from sweeper.tracking.mlflow_view.names import shown_name
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.stored import Summary

END = datetime(2026, 1, 1, tzinfo=UTC)


def record(**changes):
    known = {"id": "0" * 12, "number": 0, "method": "lora", "status": "complete", "steps": 8}
    fields = {"metrics": {"accuracy": 0.5}, "wall_time_s": 2.0, "trainable": 100, "ended_at": END}
    return TrialRecord.model_validate({**known, **fields, **changes})


def test_standard_errors_and_costs_have_sections_of_their_own():
    reported = {
        "eval_loss": 1.0,
        "eval_loss_se": 0.1,
        "accuracy/addition": 0.5,
        "accuracy/addition_se": 0.2,
        "step_time_s": 3.0,
        "system/cpu_utilization_percentage": 50.0,
        # Not an error of anything.
        "noise_se": 4.0,
    }
    assert shown_metrics(reported) == {
        "eval_loss": 1.0,
        "standard_error/eval_loss": 0.1,
        "accuracy/addition": 0.5,
        # One section for all of them, not one for each metric.
        "standard_error/accuracy.addition": 0.2,
        "cost/step_time_s": 3.0,
        "system/cpu_utilization_percentage": 50.0,
        "noise_se": 4.0,
    }


def test_results_come_before_everything_else():
    final = FinalResult(split="test", rows=1, rows_in_split=1, metrics={"accuracy": 0.25})
    found = {
        **trial_metrics(record(), objective="accuracy"),
        **final_metrics(final, objective="accuracy"),
        **shown_metrics({"accuracy": 0.5, "Accuracy": 1.0, "arc_easy/accuracy": 0.5}),
    }
    first = ["1_result/accuracy", "1_result/test_accuracy", "1_result/wall_time_s"]
    # By code points, and as people sort: MLflow's pages do both.
    assert sorted(found)[:3] == first
    assert sorted(found, key=str.casefold)[:3] == first
    assert all(shown_name(name) == name for name in found)


def test_a_trial_that_was_stopped_early_has_no_result():
    assert trial_metrics(record(status="pruned"), objective="accuracy") == {}
    assert trial_metrics(record(status="failed"), objective="accuracy") == {}


def test_an_objective_of_a_task_stays_in_the_first_section():
    found = trial_metrics(record(metrics={"mmlu/stem": 0.5}), objective="mmlu/stem")
    assert found["1_result/mmlu.stem"] == 0.5


def test_a_sweep_has_the_names_of_its_best_trial():
    summary = Summary(objective="accuracy", best=0.5, best_final=0.25, trials={"complete": 3})
    assert summary_metrics(summary) == {
        "1_result/accuracy": 0.5,
        "1_result/test_accuracy": 0.25,
        "sweep/trials_complete": 3.0,
    }
    assert summary_metrics(Summary(objective="accuracy")) == {}


def test_a_comparison_opens_on_the_objective():
    names = ["train_loss", "accuracy", "1_result/accuracy", "accuracy/addition"]
    assert [name for name in names if shown_first(name, objective="accuracy")] == names[1:3]
