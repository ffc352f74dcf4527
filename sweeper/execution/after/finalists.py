"""The best trials of a search that stopped all at one share: they go on to their end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna

from sweeper.errors import DamagedFileError
from sweeper.execution.after.trainings import run_trainings
from sweeper.execution.pool import Job, wait_ended
from sweeper.experiment.sweep import SweepSpec
from sweeper.experiment.trial import TrialSpec
from sweeper.search import best_first
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["Finalists"]

logger = logging.getLogger(__name__)

# What has ended so is no finalist: the next best takes its place.
_OUT = ("failed", "stopped", "superseded")


@dataclass(frozen=True)
class Finalists:
    """The finalists of a sweep; none where its search compares whole trials."""

    folder: SweepFolder
    spec: SweepSpec
    study: optuna.Study
    data_fingerprint: str

    def jobs(self) -> list[Job]:
        """Returns the trainings that are still to be done, the best trial first."""
        if self.spec.search.stop != "share":
            return []
        found: list[Job] = []
        places = self.spec.finalists
        for trial_id in best_first(self.study):
            if not places:
                break
            trial = self.folder.trial(trial_id)
            going_on = self._going_on(trial)
            if going_on is None:
                continue
            places -= 1
            spec, record = going_on
            if record.status != "complete":
                of = (record.id, record.number, trial.path, spec)
                found.append(Job.training(*of, data_fingerprint=self.data_fingerprint))
        return found

    def _going_on(self, trial: TrialFolder) -> tuple[TrialSpec, TrialRecord] | None:
        """Returns spec and record of a trial that is one, or may be; None of any other."""
        try:
            spec, record = trial.trial_spec(), trial.read()
        except DamagedFileError as error:
            logger.warning("trial %s does not go on: %s", trial.id, error)
            return None
        # One that went on and was stopped again has been ended by a callback.
        is_out = record.status in _OUT or (record.is_finalist and record.status == "pruned")
        if is_out or record.status == "complete":
            return None if is_out else (spec, record)
        if spec.identity(data_fingerprint=self.data_fingerprint) != trial.id:
            logger.warning(
                "trial %s does not go on: its rows, its model or the program have changed since it "
                "was stopped; bring them back, or begin a new sweep",
                trial.id,
            )
            return None
        return spec, record

    def run(
        self, pool: ActorHandle[Any], *, admitted: Callable[[Sequence[Job]], Sequence[Job]]
    ) -> None:
        """Has them trained to their end.

        Args:
            pool: with replicas.
            admitted: returns those that may go on in the time that there is.
        """
        tried: set[str] = set()
        while True:
            wait_ended(pool, [job.trial_id for job in self.jobs()])
            # Where one has failed, the next best goes on in its place.
            jobs = [job for job in admitted(self.jobs()) if job.trial_id not in tried]
            if not jobs:
                return
            for job in jobs:
                TrialFolder(job.folder).promote()
            run_trainings(pool, jobs)
            tried.update(job.trial_id for job in jobs)
