"""The clones of a sweep that its replicas train, after the trials before them."""

from __future__ import annotations

import logging

from sweeper._text import bytes_text
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.execution.pool import Job
from sweeper.experiment.trial import TrialSpec
from sweeper.preflight.forecast import Costs, peak_bytes
from sweeper.tracking.owner.clones import clones_of
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["clone_jobs", "require_clones_fit"]

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
        record = clone.record
        jobs.append(Job.training(record.id, record.number, place.path, spec, data_fingerprint=""))
    return jobs


def require_clones_fit(folder: SweepFolder, costs: Costs, *, room: int) -> None:
    """Looks whether a worker has room for the clones that wait: their limit may be newer than they.

    Args:
        folder: of the sweep.
        costs: of its trials.
        room: bytes of a worker.

    Raises:
        BadInputError: it has not.
    """
    for job in clone_jobs(folder):
        trial = TrialSpec.model_validate_json(job.spec_json)
        needed = peak_bytes(trial, costs)
        if needed > room:
            raise BadInputError(
                f"--max-memory: clone {job.number} ({job.trial_id}) of sweep {folder.name} waits "
                f"to be trained, and needs about {bytes_text(needed)} of memory a worker "
                f"({costs.of(trial).source}), but {bytes_text(room)} are allowed; nothing was "
                f"started; allow more, or remove {job.folder} and make a smaller clone"
            )
