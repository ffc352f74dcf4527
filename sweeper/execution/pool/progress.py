"""Where a trial in training reports to: its record, and the pool."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from sweeper._files import signature
from sweeper.errors import AttemptLostError, DamagedFileError
from sweeper.estimates import Estimate, to_metrics
from sweeper.execution.pool.jobs import Job
from sweeper.tracking.mirror import TrialPusher
from sweeper.tracking.record import Course
from sweeper.tracking.trial_folder import RECORD_FILE, TrialFolder

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["PoolReporter"]

logger = logging.getLogger(__name__)

# Seconds between two questions to the pool of how a trial goes on.
ASKING_S = 1.0


class PoolReporter:
    """The progress of a trial in training, which goes to its record and to the pool."""

    def __init__(self, pool: ActorHandle[Any], job: Job, folder: TrialFolder) -> None:
        """Takes up the trial's record where it is.

        Args:
            pool: the actor that hands evaluations on.
            job: of the trial.
            folder: of the trial.
        """
        self._pool = pool
        self._job = job
        self._folder = folder
        # What the pool was asked of the trial's course, and when; its last answer.
        self._asked: Any = None
        self._asked_s = -ASKING_S
        self._course: Course = "on"
        self._pusher = TrialPusher(folder.path)
        self.attempt = 0
        """Which attempt at the trial this is, from 1; 0 before it has begun."""
        self._has_logged = False
        # The record as it was when it last said that the attempt is the newest.
        self._own: object = None
        # Whether a full disk has been told of: once is enough.
        self._is_told = False
        points = folder.points()
        self._evaluated = {p.step for p in points if any(map(_is_evaluation, p.metrics))}

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes a step's metrics; what an earlier attempt wrote from there on is dropped.

        Raises:
            AttemptLostError: the trial has been begun again.
        """
        self.require_own()
        if not self._has_logged:
            # The trial goes on from a checkpoint: what was recorded after it comes again.
            self._folder.rewind(step - 1)
            self._evaluated = {done for done in self._evaluated if done < step}
            self._has_logged = True
        self._append(step, metrics)

    def require_own(self) -> None:
        """Looks whether this attempt is the newest.

        A head that dies leaves workers behind on other machines, which hear nothing of it for a
        minute, while a resume of the sweep goes on with their trials.

        Raises:
            AttemptLostError: the trial has been begun again.
        """
        try:
            mark = signature(self._folder.path / RECORD_FILE)
            newest = self.attempt if mark == self._own else self._folder.attempts()
        except (OSError, DamagedFileError):
            # What cannot be read names no other attempt.
            return
        if self.attempt and newest > self.attempt:
            raise AttemptLostError(f"trial {self._job.trial_id} has been begun again elsewhere")
        self._own = mark

    def _append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes what a step has measured; without room for it the trial goes on."""
        try:
            self._folder.append(step, metrics)
        except OSError as error:
            if not self._is_told:
                logger.warning("metrics of trial %s are lost: %s", self._job.trial_id, error)
            self._is_told = True

    def course(self) -> Course:
        """Returns the pool's last word, which is not waited for: a step is shorter than a call."""
        if self._asked is not None and ray.wait([self._asked], timeout=0)[0]:
            answer, self._asked = self._asked, None
            # A pool that is gone has nothing to say, which the next report will find out.
            with suppress(RayError):
                self._course = ray.get(answer)
        if self._asked is None and time.monotonic() - self._asked_s >= ASKING_S:
            self._asked_s = time.monotonic()
            self._asked = self._pool.course.remote(self._job.trial_id)
        return self._course

    def report_evaluation(
        self, step: int, metrics: Mapping[str, Estimate], *, final: bool
    ) -> Course:
        """Writes an evaluation, and returns how the trial goes on.

        Raises:
            AttemptLostError: the trial has been begun again.
        """
        self.require_own()
        numbers = to_metrics(metrics)
        if step not in self._evaluated:
            self._folder.append(step, {**numbers, **_system_metrics()})
        self.push()
        if final:
            # The end of the trial carries these metrics to the pool.
            return "on"
        asked: Any = self._pool.await_verdict.remote(self._job.trial_id, step, numbers)
        course: Course = ray.get(asked)
        return course

    def push(self) -> None:
        """Puts the trial at the URL of its sweep, where that has one, before anybody hears more.

        Raises:
            LeaseLostError: another driver has the sweep.
        """
        self._pusher.push()


def _is_evaluation(metric: str) -> bool:
    return metric.startswith("eval_")


def _system_metrics() -> dict[str, float]:
    """Returns what MLflow shows as system metrics, under its names; megabytes and percent."""
    import psutil
    import torch

    memory = psutil.virtual_memory()
    found = {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/system_memory_usage_percentage": memory.percent,
        "system/process_memory_usage_megabytes": psutil.Process(os.getpid()).memory_info().rss
        / 1e6,
    }
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        found["system/gpu_memory_usage_megabytes"] = (total - free) / 1e6
        found["system/gpu_memory_usage_percentage"] = 100 * (total - free) / total
    return found
