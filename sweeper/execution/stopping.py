"""What stops trials early, as Ray Tune asks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sweeper.execution.pool import Job
from sweeper.execution.tune import EVALUATION
from sweeper.search import Stopping

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

__all__ = ["StoppingScheduler"]


class StoppingScheduler(FIFOScheduler):
    """Runs trials in the order of their suggestion, and stops some of them early."""

    def __init__(self, stopping: Stopping, *, metric: str) -> None:
        """Takes what decides as it is.

        Args:
            stopping: with what ended before a resume.
            metric: that trials are compared by.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._stopping = stopping
        self._metric_name = metric

    def on_trial_result(
        self,
        tune_controller: TuneController,  # noqa: ARG002 - Tune's signature
        trial: tune.experiment.Trial,
        result: dict[str, Any],
    ) -> str:
        """Returns Tune's word for whether the trial stops after this result."""
        return TrialScheduler.STOP if self._stops(trial, result) else TrialScheduler.CONTINUE

    def on_trial_complete(
        self,
        tune_controller: TuneController,  # noqa: ARG002 - Tune's signature
        trial: tune.experiment.Trial,
        result: dict[str, Any],
    ) -> None:
        """Notes a trial's last result, for which Tune does not call ``on_trial_result``."""
        self._stops(trial, result)

    def _stops(self, trial: tune.experiment.Trial, result: Mapping[str, Any]) -> bool:
        value = float(result[self._metric_name])
        # Tune's own identity of a trial is another one after a resume.
        job: Job = trial.config["job"]
        return self._stopping.decide(job.trial_id, int(result[EVALUATION]), value)
