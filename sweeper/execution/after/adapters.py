"""The adapters of trials that a search has stopped while no replica had them: saved after all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

from sweeper.errors import DamagedFileError
from sweeper.execution.pool import Job, run_jobs, wait_ended
from sweeper.search import states_by_id
from sweeper.tracking.mirror import adapter_url
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from sweeper.training.schedule import evaluation_steps

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["save_adapters", "unsaved_jobs"]

logger = logging.getLogger(__name__)


def unsaved_jobs(
    folder: SweepFolder, study: optuna.Study, data_fingerprint: str, *, stop: str
) -> list[Job]:
    """Returns the ends of the trials that have ended in the study and have no adapter.

    The driver, or a replica, has died between the word of the search and the adapter; or a trial
    that went on from its record was stopped by what was in there, before a replica took it.

    Args:
        folder: of the sweep.
        study: of it.
        data_fingerprint: of its rows, and of a model at a path.
        stop: what stops trials early; at a share one that is complete in the study was stopped.
    """
    ended = {TrialState.PRUNED, *([TrialState.COMPLETE] if stop == "share" else [])}
    found = []
    for trial_id, state in states_by_id(study).items():
        trial = folder.trial(trial_id)
        if state not in ended or trial.adapter.is_dir() or adapter_url(trial.path):
            continue
        try:
            job = _end_of(trial, data_fingerprint)
        except DamagedFileError as error:
            logger.debug("the adapter of trial %s stays unsaved: %s", trial_id, error)
            continue
        if job is not None:
            found.append(job)
    return found


def _end_of(trial: TrialFolder, data_fingerprint: str) -> Job | None:
    """Returns what ends a trial at its last evaluation; None where that is no longer the same."""
    if not trial.path.is_dir():
        # Its owner has removed it.
        return None
    record, spec = trial.read(), trial.trial_spec()
    reached = [step for step in evaluation_steps(spec.train) if step <= record.steps]
    is_stopped = record.status in {"queued", "running", "pruned"} and not record.is_finalist
    is_same = is_stopped and spec.identity(data_fingerprint=data_fingerprint) == trial.id
    if not is_same or not reached or trial.taken_from() is not None:
        return None
    return Job.training(
        *(record.id, record.number, trial.path, spec),
        data_fingerprint=data_fingerprint,
        ends_at=reached[-1],
    )


def save_adapters(
    pool: ActorHandle[Any],
    folder: SweepFolder,
    study: optuna.Study,
    data_fingerprint: str,
    *,
    stop: str,
) -> None:
    """Has the missing adapters of stopped trials saved, each from its checkpoint.

    Args:
        pool: with replicas.
        folder: as of :func:`unsaved_jobs`, as all that follow.
        study: of the sweep.
        data_fingerprint: of its rows.
        stop: what stops trials early.
    """
    # A replica may be about to save one.
    asked = unsaved_jobs(folder, study, data_fingerprint, stop=stop)
    wait_ended(pool, [job.trial_id for job in asked])
    jobs = unsaved_jobs(folder, study, data_fingerprint, stop=stop) if asked else []
    if not jobs:
        return
    for job in jobs:
        TrialFolder(job.folder).requeue()
    for job, message in zip(jobs, run_jobs(pool, jobs), strict=True):
        trial = TrialFolder(job.folder)
        if message.status == "failed":
            # The search has its value: without an adapter it is a stopped trial all the same.
            logger.warning("the adapter of trial %s is not saved: %s", job.trial_id, message.error)
            trial.requeue()
        trial.prune()
