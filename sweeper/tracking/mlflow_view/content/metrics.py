"""What MLflow calls the metrics of a sweep.

MLflow's charts come in sections, one for each prefix, by alphabet; names without a prefix come
last. The first section has what a trial is judged by. Standard errors and costs have their own, so
that the rest is short.
"""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.estimates import from_metrics
from sweeper.tracking.final_result import FinalResult
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.stored import Summary

__all__ = [
    "FIRST",
    "FOLDED",
    "final_metrics",
    "result_name",
    "shown_first",
    "shown_metrics",
    "summary_metrics",
    "trial_metrics",
]

# A digit comes before all letters, in each of the two orders that MLflow's pages use.
FIRST = "1_result"
"""Prefix of what a trial is judged by."""
_ERROR, _COST, _SWEEP = "standard_error", "cost", "sweep"
FOLDED = (_COST, _ERROR, _SWEEP, "test", "validation")
"""Prefixes of what is looked up rather than looked at."""
# What a trial takes, as against what it learns.
_COSTS = frozenset(
    {
        *("step_time_s", "evaluation_time_s", "checkpoint_time_s", "overhead_time_s"),
        *("train_tokens", "train_examples", "train_prompts_cut", "train_answers_cut"),
    }
)


def result_name(metric: str, *, split: str = "") -> str:
    """Returns what the objective's result is called: ``1_result/eval_loss``.

    Args:
        metric: the objective's; a prefix of its own would make another section.
        split: of the evaluation after the search; empty for what chose the trial.
    """
    name = metric.replace("/", ".")
    return f"{FIRST}/{split}_{name}" if split else f"{FIRST}/{name}"


def shown_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns what was reported at one step under the names that MLflow shows."""
    shown: dict[str, float] = {}
    for name, found in from_metrics(metrics).items():
        shown[f"{_COST}/{name}" if name in _COSTS else name] = found.value
        if found.standard_error is not None:
            shown[_error_name(name)] = found.standard_error
    return shown


def shown_first(name: str, *, objective: str) -> bool:
    """Whether a metric is to be sent before others.

    MLflow's pages of a run, and of a comparison, have metrics in the order of their first value,
    and open on the first.

    Args:
        name: as MLflow shows it.
        objective: name of the metric that the sweep optimises.
    """
    return name == objective or name.startswith(f"{FIRST}/")


def _error_name(name: str) -> str:
    return f"{_ERROR}/{name.replace('/', '.')}"


def trial_metrics(record: TrialRecord, *, objective: str) -> dict[str, float]:
    """Returns what a trial that has ended is judged by, and what it took.

    Only of a complete one: a trial that was stopped early has its score at fewer steps.

    Args:
        record: of the trial.
        objective: name of the metric that the sweep optimises.
    """
    if record.status != "complete":
        return {}
    found = {}
    if objective in record.metrics:
        found[result_name(objective)] = record.metrics[objective]
    if record.wall_time_s > 0:
        found[f"{FIRST}/wall_time_s"] = record.wall_time_s
    if record.trainable:
        found[f"{_COST}/trainable_parameters"] = float(record.trainable)
    return found


def final_metrics(final: FinalResult, *, objective: str) -> dict[str, float]:
    """Returns what the evaluation after the search found, under names of its own.

    What chose a trial is not to be taken for what it then got.

    Args:
        final: of a trial.
        objective: name of the metric that the sweep optimises.
    """
    found: dict[str, float] = {}
    if objective in final.metrics:
        found[result_name(objective, split=final.split)] = final.metrics[objective]
    for name, estimate in from_metrics(final.metrics).items():
        # One section of charts, not one for each task.
        found[f"{final.split}/{name.replace('/', '.')}"] = estimate.value
        if estimate.standard_error is not None:
            found[_error_name(f"{final.split}/{name}")] = estimate.standard_error
    return found


def summary_metrics(summary: Summary) -> dict[str, float]:
    """Returns the metrics of the sweep's own run.

    The best trial's results have the names that they have in its own run: sweeps are compared by
    them.
    """
    found: dict[str, float] = {}
    if summary.best is not None:
        found[result_name(summary.objective)] = summary.best
    if summary.best_final is not None:
        found[result_name(summary.objective, split=summary.split)] = summary.best_final
    if summary.base is not None:
        found[f"{_SWEEP}/base_{summary.objective.replace('/', '.')}"] = summary.base
    for status, number in summary.trials.items():
        found[f"{_SWEEP}/trials_{status}"] = float(number)
    if summary.wall_time_s > 0:
        found[f"{_SWEEP}/wall_time_s"] = summary.wall_time_s
    return found
