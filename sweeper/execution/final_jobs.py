"""Which trials are evaluated after the search, and what of that is still to be done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sweeper._files import signature
from sweeper.analysis.ranking import rank_sweep
from sweeper.errors import DamagedFileError
from sweeper.execution.pool import Job, run_jobs
from sweeper.experiment.sweep import FinalSpec
from sweeper.tracking.final_result import FINAL_FILE, FinalResult, read_final, write_final
from sweeper.tracking.sweep_folder import SweepFolder

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["final_jobs", "final_progress", "run_final_jobs"]

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
    ranking = rank_sweep(folder)
    jobs = []
    for place, record in enumerate(ranking.ranked[: final.trials], start=1):
        score, trial = ranking.score(record), folder.trial(record.id)
        assert score is not None
        try:
            spec = trial.trial_spec()
        except DamagedFileError as error:
            logger.warning("no final evaluation of trial %s: %s", record.id, error)
            continue
        job = Job(
            trial_id=f"{PREFIX}{record.id}",
            number=record.number,
            folder=trial.path,
            evaluation_steps=(),
            spec_json=spec.model_dump_json(),
            final=final,
            chosen_by={
                "metric": ranking.objective.metric,
                "validation": score.value,
                "place": place,
            },
        )
        jobs.append(job)
    if jobs:
        base = replace(
            jobs[0], trial_id=f"{PREFIX}base", folder=folder.path, is_base=True, chosen_by={}
        )
        jobs.append(base)
    found = [read_final(job.folder) for job in jobs]
    return [job for job, result in zip(jobs, found, strict=True) if result is None or result.error]


def final_progress(jobs: Sequence[Job]) -> Callable[[], str]:
    """Returns a function that says how many of some evaluations are done.

    Args:
        jobs: from :func:`final_jobs`, before any of them is begun.
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
        jobs: from :func:`final_jobs`.
    """
    for job, message in zip(jobs, run_jobs(pool, jobs), strict=True):
        if message.status == "failed" and not message.is_recorded and job.final is not None:
            logger.warning("no final evaluation of %s: %s", job.trial_id, message.error)
            write_final(job.folder, FinalResult.failed(job.final, message.error))
