"""The clones of a sweep that its replicas train, after the trials before them."""

from __future__ import annotations

import logging

from sweeper.errors import DamagedFileError
from sweeper.execution.pool import Job
from sweeper.tracking.owner.clones import clones_of
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.training.schedule import evaluation_steps

__all__ = ["clone_jobs"]

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
