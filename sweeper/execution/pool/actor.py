"""The pool: replicas on one side, Tune's thin trials on the other, and what goes between them.

A replica is one Ray Train worker group. It loads the frozen base once and then takes one trial
after another. The pool is an actor that holds the queue of trials and one inbox of reports for
each; it never looks into a spec. A replica that dies is restarted by Ray Train, says so by
registering again, and the trial that it had goes back to the front of the queue.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import ray

from sweeper.execution.pool.jobs import Job
from sweeper.execution.pool.queue import Message, TrialQueue

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["close", "run_jobs", "start_pool", "status_of"]

logger = logging.getLogger(__name__)


def start_pool(name: str, **settings: Any) -> ActorHandle[Any]:
    """Returns a new pool's actor.

    Args:
        name: under which thin trials find it.
        settings: of :class:`TrialQueue`.
    """
    # One slot for each waiting call: every thin trial and every replica waits in one.
    options = ray.remote(TrialQueue).options(name=name, num_cpus=0, max_concurrency=1000)
    return cast("ActorHandle[Any]", options.remote(**settings))


def status_of(pool: ActorHandle[Any], *, timeout_s: float) -> dict[str, Any]:
    """Returns :meth:`TrialQueue.status` of a pool's actor.

    Raises:
        TimeoutError: the pool did not answer in time, or is gone.
    """
    try:
        status: object = ray.get(pool.status.remote(), timeout=timeout_s)
    except (ray.exceptions.GetTimeoutError, ray.exceptions.RayError) as error:
        raise TimeoutError("the pool does not answer") from error
    return cast("dict[str, Any]", status)


def run_jobs(pool: ActorHandle[Any], jobs: Sequence[Job]) -> list[Message]:
    """Returns how each of some jobs ended that report nothing meanwhile.

    Args:
        pool: with replicas.
        jobs: to be run, each with its own ``trial_id``.
    """
    ray.get([pool.submit.remote(job) for job in jobs])
    messages: list[Message] = ray.get([pool.next_message.remote(job.trial_id) for job in jobs])
    return messages


def close(pool: ActorHandle[Any]) -> None:
    """Lets every replica of a pool's actor return from its loop."""
    ray.get(pool.close.remote())
