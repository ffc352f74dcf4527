"""The clones of a sweep trained by its replicas, after the trials before them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sweeper.errors import DamagedFileError
from sweeper.execution.pool import Job, run_jobs
from sweeper.tracking.owner.clones import clones_of
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from sweeper.training.schedule import evaluation_steps

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["clone_jobs", "run_clones"]

logger = logging.getLogger(__name__)


def clone_jobs(folder: SweepFolder) -> list[Job]:
    """Returns the trainings of the clones that have not ended, by their number.

    Args:
        folder: of the sweep.
    """
    jobs = []
    for place, clone in clones_of(folder):
        if clone.record.is_final:
            continue
        try:
            spec = place.trial_spec()
        except DamagedFileError as error:
            logger.warning("clone %s is not trained: %s", clone.record.id, error)
            continue
        jobs.append(
            Job(
                trial_id=clone.record.id,
                number=clone.record.number,
                folder=place.path,
                evaluation_steps=evaluation_steps(spec.train),
                spec_json=spec.model_dump_json(),
            )
        )
    return jobs


def run_clones(pool: ActorHandle[Any], jobs: list[Job]) -> None:
    """Has clones trained to their ends, and notes of which no replica could say how it ended.

    Args:
        pool: with replicas.
        jobs: from :func:`clone_jobs`.
    """
    for job, message in zip(jobs, run_jobs(pool, jobs), strict=True):
        if message.is_recorded:
            continue
        if message.status == "failed":
            TrialFolder(job.folder).fail("ReplicaLost", message.error)
        else:
            # Its owner has stopped it while it waited.
            TrialFolder(job.folder).stop()
