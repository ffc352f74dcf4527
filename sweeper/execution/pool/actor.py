"""The pool's actor: replicas on one side, Tune's thin trials on the other.

A replica is one Ray Train worker group. It loads the frozen base once and then takes one trial
after another. The pool hands trials to replicas and messages back; it never looks into a spec. A
replica that dies is restarted by Ray Train and registers again, and the trial that it had goes back
to the front of the queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RaySystemError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeper.errors import PoolLostError
from sweeper.execution.pool.jobs import Job
from sweeper.execution.pool.queue import Message, TrialQueue
from sweeper.execution.pool.registry import ReplicaRegistry
from sweeper.tracking.record import Course

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["Pool", "close", "release", "run_jobs", "start_pool", "status_of", "wait_ended"]

# Seconds that the driver waits for a word of the pool, which only hands messages on.
ANSWER_S = 60.0


class Pool:
    """What thin trials, replicas and the driver call: a queue of trials and a replica registry."""

    def __init__(self, *, replicas: int, max_deaths: int, is_base_scored: bool = False) -> None:
        """Makes an empty pool.

        Args:
            replicas: replicas that will register, at least 1.
            max_deaths: times a trial is taken up again after its replica died under it.
            is_base_scored: whether the frozen base's score is known, from before a resume.
        """
        self._queue = TrialQueue(max_deaths=max_deaths)
        self._registry = ReplicaRegistry(replicas=replicas, is_base_scored=is_base_scored)

    # What thin trials call.

    async def submit(self, job: Job) -> None:
        """Queues a trial."""
        await self._queue.submit(job)

    async def next_message(self, trial_id: str) -> Message:
        """Returns the trial's next message; to ask for it lets the trial train on."""
        return await self._queue.next_message(trial_id)

    async def ended(self, trial_id: str) -> None:
        """Returns when no replica has a trial any more."""
        await self._queue.ended(trial_id)

    async def stop(self, trial_id: str) -> None:
        """Stops a trial at its next report; one that waits in the queue never starts."""
        await self._queue.stop(trial_id)

    # What replicas call.

    async def register(self, replica: int) -> bool:
        """Takes back the trial that a restarted replica had, and returns whether it shall serve."""
        shall_serve = self._registry.register(replica)
        await self._queue.give_back(replica)
        return shall_serve

    async def ready(self, replica: int) -> None:
        """Notes that a replica has its base model and takes trials."""
        await self._registry.ready(replica)

    async def broken(self, replica: int, error: str) -> None:
        """Notes why a replica could not get ready."""
        self._registry.broken(replica, error)

    async def claim_base(self, replica: int) -> bool:
        """Returns whether this replica shall score the frozen base."""
        return self._registry.claim_base(replica)

    async def take(self, replica: int, *, timeout_s: float) -> Job | Literal["idle"] | None:
        """Returns the next trial, ``"idle"`` where none came in time, None at the close."""
        return await self._queue.take(replica, timeout_s=timeout_s)

    async def course(self, trial_id: str) -> Course:
        """Returns how a trial goes on between two evaluations."""
        return await self._queue.course(trial_id)

    async def put_off(self, trial_id: str) -> None:
        """Takes a trial back that has paused."""
        await self._queue.put_off(trial_id)

    async def await_verdict(self, trial_id: str, step: int, metrics: Mapping[str, float]) -> Course:
        """Returns how a trial goes on, when its thin half has had the evaluation."""
        return await self._queue.await_verdict(trial_id, step, metrics)

    async def done(
        self,
        trial_id: str,
        status: str,
        *,
        metrics: Mapping[str, float],
        step: int = 0,
        error: str = "",
    ) -> None:
        """Notes the end of a trial and its last evaluation; its record is written already."""
        await self._queue.done(trial_id, status, metrics=metrics, step=step, error=error)

    # What the driver calls.

    async def drop(self, trial_id: str) -> None:
        """Ends a trial for its owner."""
        await self._queue.drop(trial_id)

    async def pause(self) -> None:
        """Lets the trials in training go, each with a checkpoint, and begins no other."""
        await self._queue.pause()

    async def launched(self, replica: int) -> bool:
        """Notes that Ray Train is asked for a replica now, and returns whether it shall be."""
        return self._registry.launched(replica)

    async def failed(self, replica: int, starts: int) -> None:
        """Notes that a run of Ray Train has failed, which has tried a replica so many times."""
        self._registry.failed(replica, starts)

    async def wait_settled(self, replica: int) -> None:
        """Returns when a replica is ready for the first time, or lost."""
        await self._registry.wait_settled(replica)

    async def lost(self, replica: int, error: str) -> None:
        """Notes that Ray Train has given up a replica; without any left, all trials fail."""
        await self._registry.lost(replica, error)
        await self._queue.give_back(replica)
        loss = self._registry.loss()
        if loss is not None:
            await self._queue.give_up(loss)

    async def close(self) -> None:
        """Lets every replica return from its loop."""
        await self._registry.close()
        await self._queue.close()

    async def status(self) -> dict[str, Any]:
        """Returns what there is of replicas and of trials, for the live table and the owner."""
        trials = {"queued": len(self._queue), "training": self._queue.training}
        return {**self._registry.status(), **trials}


def start_pool(name: str, **settings: Any) -> ActorHandle[Any]:
    """Returns a new pool's actor, on the machine of the driver: it dies with no other.

    Args:
        name: under which thin trials find it.
        settings: of :class:`Pool`.
    """
    # One slot for each waiting call: every thin trial and every replica waits in one.
    options = ray.remote(Pool).options(
        name=name,
        num_cpus=0,
        max_concurrency=1000,
        scheduling_strategy=NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        ),
    )
    return cast("ActorHandle[Any]", options.remote(**settings))


def status_of(pool: ActorHandle[Any], *, timeout_s: float) -> dict[str, Any]:
    """Returns :meth:`Pool.status` of a pool's actor.

    Raises:
        PoolLostError: the pool did not answer in time, or is gone.
    """
    return cast("dict[str, Any]", _answer(pool.status.remote(), timeout_s=timeout_s))


def release(pool: ActorHandle[Any], trial_id: str) -> None:
    """Stops a trial in a pool's actor, if it is still there.

    Raises:
        PoolLostError: the pool is gone; nothing it was told of a trial is an end of it.
    """
    _answer(pool.stop.remote(trial_id), timeout_s=ANSWER_S)


def run_jobs(pool: ActorHandle[Any], jobs: Sequence[Job]) -> list[Message]:
    """Returns how each of some jobs ended; none is stopped for what it reports meanwhile.

    Args:
        pool: with replicas.
        jobs: to be run, each with its own ``trial_id``.

    Raises:
        PoolLostError: the pool is gone.
    """
    _answer([pool.submit.remote(job) for job in jobs], timeout_s=ANSWER_S)
    ends: dict[str, Message] = {}
    asked: dict[Any, str] = {pool.next_message.remote(x.trial_id): x.trial_id for x in jobs}
    while asked:
        (told,), _ = ray.wait(list(asked), num_returns=1)
        name, message = asked.pop(told), cast("Message", _answer(told, timeout_s=ANSWER_S))
        if message.kind == "end":
            ends[name] = message
        else:
            # Who asks for the next one lets the trial go on.
            asked[pool.next_message.remote(name)] = name
    return [ends[job.trial_id] for job in jobs]


def wait_ended(pool: ActorHandle[Any], trial_ids: Sequence[str]) -> None:
    """Returns when no replica has any of some trials.

    Args:
        pool: with replicas.
        trial_ids: the trials; those that it does not know have ended.

    Raises:
        PoolLostError: the pool is gone.
    """
    _answer([pool.ended.remote(trial_id) for trial_id in trial_ids], timeout_s=None)


def close(pool: ActorHandle[Any]) -> None:
    """Lets every replica of a pool's actor return from its loop.

    Raises:
        PoolLostError: the pool is gone.
    """
    _answer(pool.close.remote(), timeout_s=ANSWER_S)


def _answer(asked: Any, *, timeout_s: float | None) -> object:  # noqa: ANN401 - references of Ray
    try:
        answer: object = ray.get(asked, timeout=timeout_s)
    except (GetTimeoutError, RayActorError, RaySystemError) as error:
        raise PoolLostError("the process that hands trials to the replicas has died") from error
    return answer
