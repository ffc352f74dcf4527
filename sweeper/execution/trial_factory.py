"""What a sweep hands to its replicas: the job of each point, and what the replicas are made of."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper.execution.pool import Job, ReplicaConfig
from sweeper.experiment.checks import require_trial
from sweeper.experiment.space.space import Point
from sweeper.experiment.sweep import Sweep
from sweeper.search import Suggestion, origin_of, params_of
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.training.schedule import evaluation_steps

__all__ = ["TrialFactory"]


@dataclass(frozen=True)
class TrialFactory:
    """Makes the trials of the sweep in a folder."""

    folder: SweepFolder
    sweep: Sweep
    data_fingerprint: str
    """Of the rows that the trials see; it is part of their identity."""

    def identify(self, point: Point) -> str:
        """Returns the identity of the trial at a point, which is complete.

        Raises:
            SpecError: the point is no trial.
        """
        trial = require_trial(self.sweep.space, point)
        return trial.identity(data_fingerprint=self.data_fingerprint)

    def job(self, suggestion: Suggestion) -> Job:
        """Returns the job of a suggestion, and makes its folder; ends what it supersedes."""
        point, number, trial_id = suggestion.point, suggestion.number, suggestion.trial_id
        trial = self.sweep.space.trial(point)
        space = self.sweep.space.method(str(point["method"]))
        if suggestion.supersedes is not None:
            self.folder.trial(suggestion.supersedes).supersede(trial_id)
        folder = self.folder.add_trial(
            trial_id,
            spec=trial.model_dump(mode="json"),
            number=number,
            method=trial.method.name,
            origin=origin_of(number, self.sweep.space),
            params=params_of(trial, space),
            steps_total=trial.train.steps,
        )
        return Job(
            trial_id=trial_id,
            number=number,
            folder=folder.path,
            evaluation_steps=evaluation_steps(trial.train),
            spec_json=trial.model_dump_json(),
        )

    def replica_config(self) -> ReplicaConfig:
        """Returns what the sweep's replicas are made of."""
        spec = self.sweep.spec
        return ReplicaConfig(
            sweep_folder=self.folder.path,
            model=spec.model,
            data=spec.data,
            train=self.sweep.space.any_trial().train,
            precision=spec.engine.precision,
            resources=spec.resources,
            evaluation=spec.evaluation,
        )
