"""The warm pool: replicas that load the base once, and what hands them one trial after another."""

from __future__ import annotations

from sweeper.execution.pool.actor import (
    close,
    release,
    run_jobs,
    start_pool,
    status_of,
    wait_ended,
)
from sweeper.execution.pool.jobs import Job, ReplicaConfig
from sweeper.execution.pool.queue import Message
from sweeper.execution.pool.replicas import ReplicaSet, trainer_of
from sweeper.execution.pool.status import StatusLine
from sweeper.execution.pool.worker import ReplicaWorker

__all__ = [
    "Job",
    "Message",
    "ReplicaConfig",
    "ReplicaSet",
    "ReplicaWorker",
    "StatusLine",
    "close",
    "release",
    "run_jobs",
    "start_pool",
    "status_of",
    "trainer_of",
    "wait_ended",
]
