"""Which trials and clones are evaluated after the search, and what of that is still to be done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from sweeper._files import signature
from sweeper.analysis.ranking import ranking_of
from sweeper.errors import DamagedFileError
from sweeper.execution.pool import Job, run_jobs
from sweeper.experiment.sweep import FinalSpec
from sweeper.tracking.final_result import FINAL_FILE, FinalResult, read_final, write_final
from sweeper.tracking.owner.clones import clones_of
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["clone_final_jobs", "final_jobs", "final_progress", "run_final_jobs"]

logger = logging.getLogger(__name__)

# What the pool calls an evaluation begins with it: the training of the same trial has its name.
PREFIX = "final-"


def final_jobs(folder: SweepFolder, final: FinalSpec) -> list[Job]:
    """Returns the evaluations after the search that are still to be done.

    They are those of the best trials and, for contrast, of the frozen base. What has a result is
    not among them; what failed is.

    Args:
        folder: of a sweep whose trials have ended.
        final: how many trials, and on what.
    """
    ranking = ranking_of(folder)
    jobs: list[Job] = []
    for place, record in enumerate(ranking.ranked[: final.trials], start=1):
        score = ranking.score(record)
        assert score is not None
        chosen_by: dict[str, JsonValue] = {
            "metric": ranking.objective.metric,
            "validation": score.value,
            "place": place,
        }
        job = _job(folder.trial(record.id), record, final)
        jobs += [] if job is None else [replace(job, chosen_by=chosen_by)]
    if jobs:
        base = replace(
            jobs[0], trial_id=f"{PREFIX}base", folder=folder.path, is_base=True, chosen_by={}
        )
        jobs.append(base)
    return _left(jobs)


def clone_final_jobs(folder: SweepFolder, final: FinalSpec) -> list[Job]:
    """Returns the evaluations of clones that are still to be done: one of each complete clone.

    Whoever made a clone has chosen it, so that none is left out for its score on validation.

    Args:
        folder: of the sweep.
        final: on what; nothing is evaluated where it wants none of the trials.
    """
    if final.trials == 0:
        return []
    complete = [x for x in clones_of(folder) if x[1].record.status == "complete"]
    jobs = [_job(place, clone.record, final) for place, clone in complete]
    return _left([job for job in jobs if job is not None])


def _job(trial: TrialFolder, record: TrialRecord, final: FinalSpec) -> Job | None:
    """Returns the evaluation of a trial, or of a clone; None where its spec cannot be read."""
    try:
        spec = trial.trial_spec()
    except DamagedFileError as error:
        logger.warning("no final evaluation of trial %s: %s", record.id, error)
        return None
    return Job(
        trial_id=f"{PREFIX}{record.id}",
        number=record.number,
        folder=trial.path,
        evaluation_steps=(),
        spec_json=spec.model_dump_json(),
        final=final,
    )


def _left(jobs: Sequence[Job]) -> list[Job]:
    """Returns the evaluations that have no result yet, or one that failed."""
    found = [read_final(job.folder) for job in jobs]
    return [job for job, result in zip(jobs, found, strict=True) if result is None or result.error]


def final_progress(jobs: Sequence[Job]) -> Callable[[], str]:
    """Returns a function that says how many of some evaluations are done.

    Args:
        jobs: from :func:`final_jobs` or :func:`clone_final_jobs`, before any of them is begun.
    """
    before = [signature(job.folder / FINAL_FILE) for job in jobs]

    def told() -> str:
        now = [signature(job.folder / FINAL_FILE) for job in jobs]
        # A result that could not be had is replaced by its next try.
        done = sum(old != new for old, new in zip(before, now, strict=True))
        splits = {job.final.split for job in jobs if job.final is not None}
        of = f" on {splits.pop()}" if len(splits) == 1 else ""
        return f"final evaluation{of}: {done} of {len(jobs)} done" if done < len(jobs) else ""

    return told


def run_final_jobs(pool: ActorHandle[Any], jobs: list[Job]) -> None:
    """Has the selected trials and the base evaluated, and notes what no replica could.

    Args:
        pool: with replicas.
        jobs: from :func:`final_jobs` or :func:`clone_final_jobs`.
    """
    for job, message in zip(jobs, run_jobs(pool, jobs), strict=True):
        if message.status == "failed" and not message.is_recorded and job.final is not None:
            logger.warning("no final evaluation of %s: %s", job.trial_id, message.error)
            write_final(job.folder, FinalResult.failed(job.final, message.error))
