"""Trials that are trained to their ends, whatever they report meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sweeper.execution.pool import Job, run_jobs
from sweeper.tracking.trial_folder import TrialFolder

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["run_trainings"]


def run_trainings(pool: ActorHandle[Any], jobs: Sequence[Job]) -> None:
    """Has trials trained to their ends, and notes of which no replica could say how it ended.

    Args:
        pool: with replicas.
        jobs: the trainings.
    """
    for job, message in zip(jobs, run_jobs(pool, jobs), strict=True):
        if message.is_recorded:
            continue
        if message.status == "failed":
            TrialFolder(job.folder).fail("ReplicaLost", message.error)
        else:
            # Its owner has stopped it while it waited.
            TrialFolder(job.folder).stop()
