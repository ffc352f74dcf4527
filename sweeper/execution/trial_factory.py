"""What a sweep hands to its replicas: the job of each point, and what the replicas are made of."""

from __future__ import annotations

from dataclasses import dataclass

import optuna

from sweeper.analysis.finished import find_finished
from sweeper.evaluation.racing import RaceTerms, pair_level
from sweeper.execution.pool import Job, ReplicaConfig
from sweeper.execution.take_over import take_over
from sweeper.experiment.checks import require_trial
from sweeper.experiment.documents.tree import get_path
from sweeper.experiment.space.space import Point
from sweeper.experiment.sweep import SearchSpec, Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.search import (
    FinishedTrial,
    Rungs,
    Share,
    Stopping,
    Suggestion,
    origin_of,
    params_of,
    past_values,
    values_left_behind,
)
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["TrialFactory"]


@dataclass(frozen=True)
class TrialFactory:
    """Makes the trials of the sweep in a folder."""

    folder: SweepFolder
    sweep: Sweep
    data_fingerprint: str
    """Of the rows that the trials see, and of a model at a path; part of their identity."""

    def identify(self, point: Point) -> str:
        """Returns the identity of the trial at a point, which is complete.

        Raises:
            SpecError: the point is no trial.
        """
        return self.identity_of(self.trial(point))

    def trial(self, point: Point) -> TrialSpec:
        """Returns the trial at a point, which is complete.

        Raises:
            SpecError: the point is no trial.
        """
        return require_trial(self.sweep.space, point)

    def identity_of(self, trial: TrialSpec) -> str:
        """Returns the identity of a trial of this sweep."""
        return trial.identity(data_fingerprint=self.data_fingerprint)

    def find_finished(self, number: int, point: Point) -> FinishedTrial | None:
        """Returns a listed trial that another sweep has finished, with its results taken over.

        Args:
            number: place in the order of suggestion.
            point: complete.
        """
        trial_id = self.identify(point)
        home, own = self.folder.home, self.folder.path
        if self.sweep.spec.fresh or not find_finished(home, [trial_id], but=own):
            return None
        self.job(Suggestion(number, point, trial_id))
        folder, metric = self.folder.trial(trial_id), self.sweep.spec.objective.metric
        values = tuple(metrics[metric] for _, metrics in folder.evaluations(metric))
        is_complete = folder.read().status == "complete"
        return FinishedTrial(trial_id, values) if is_complete and values else None

    def job(self, suggestion: Suggestion) -> Job:
        """Returns the job of a suggestion, and makes its folder; ends what it supersedes.

        Where another sweep has finished the same trial its results are taken over, unless the sweep
        is to train all afresh.
        """
        point, number, trial_id = suggestion.point, suggestion.number, suggestion.trial_id
        trial = self.sweep.space.trial(point)
        space = self.sweep.space.method(str(point["method"]))
        if suggestion.supersedes is not None:
            self.folder.trial(suggestion.supersedes).supersede(trial_id)
        folder = self.folder.add_trial(
            trial_id,
            spec=trial.model_dump(mode="json"),
            number=number,
            method=trial.method.label,
            origin=origin_of(number, self.sweep.space),
            params=params_of(trial, space),
            steps_total=trial.train.steps,
        )
        if folder.read().status == "superseded":
            # The files that had changed since are back, and with them the trial.
            folder.requeue()
        if not self.sweep.spec.fresh:
            take_over(self.folder, folder, final=self.sweep.spec.final)
        return Job.training(
            trial_id,
            number,
            folder.path,
            trial,
            data_fingerprint=self.data_fingerprint,
            racing=self._race_terms(trial.train.evaluations),
        )

    @property
    def asked(self) -> SearchSpec:
        """How the space is searched, with the trials that its owner has given it by now."""
        search = self.sweep.spec.search
        trials = get_path(self.folder.document, ("search", "trials"))
        return search.model_copy(update={"trials": trials}) if isinstance(trials, int) else search

    def _race_terms(self, evaluations: int) -> RaceTerms | None:
        """Returns how the trials race; None where they do not.

        Args:
            evaluations: of a trial.
        """
        search = self.asked
        if search.stop != "racing" or evaluations < search.racing.grace:
            return None
        level = pair_level(
            search.racing.alpha,
            trials=search.trials,
            evaluations=evaluations - search.racing.grace + 1,
        )
        return RaceTerms(
            level, first_rows=search.racing.rows, seed=search.seed, grace=search.racing.grace
        )

    def is_ended_on_purpose(self, trial_id: str) -> bool:
        """Returns whether a trial without a value was ended by its owner, or by a race.

        Args:
            trial_id: of the trial.
        """
        return self.folder.trial(trial_id).read().status in {"stopped", "pruned"}

    @property
    def compared_at(self) -> int:
        """The evaluation whose value the search compares trials by."""
        return self.sweep.spec.search.compared_at(self._evaluations)

    @property
    def _evaluations(self) -> int:
        return self.replica_config().train.evaluations

    def stopping(self, study: optuna.Study) -> Stopping:
        """Returns what stops trials early, with what has ended before and what was left behind.

        Args:
            study: of the sweep.
        """
        spec = self.sweep.spec
        if spec.search.stop == "share":
            return Share(self.compared_at)
        rungs = Rungs(spec.search.rungs, mode=spec.objective.mode, evaluations=self._evaluations)
        rungs.fill(past_values(study))
        for trial_id, values in values_left_behind(study).items():
            rungs.take_up(trial_id, values)
        return rungs

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
