"""The pool: replicas on one side, Tune's thin trials on the other, and what goes between them.

A replica is one Ray Train worker group. It loads the frozen base once and then takes one trial
after another. The pool is an actor that holds the queue of trials and one inbox of reports for
each; it never looks into a spec. A replica that dies is restarted by Ray Train, says so by
registering again, and the trial that it had goes back to the front of the queue.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import ray

from sweeper.jobs import Job, ReplicaConfig
from sweeper.replica import serve
from sweeper.spec import ResourcesSpec

if TYPE_CHECKING:
    from ray.actor import ActorHandle
    from ray.train.torch import TorchTrainer

__all__ = [
    "Message",
    "PoolState",
    "Replicas",
    "close",
    "run_jobs",
    "start_pool",
    "status_of",
    "trainer_of",
]

logger = logging.getLogger(__name__)

# Times in a row that a replica may die before it is ready; then it is given up.
MAX_FALSE_STARTS = 3


@dataclass(frozen=True)
class Message:
    """What a thin trial hears of its trial."""

    kind: Literal["report", "end"]
    """A report of an evaluation, or the end of the trial."""
    step: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    status: str = ""
    """With ``end``: complete, pruned or failed."""
    error: str = ""
    """With ``end``: why the trial failed."""
    is_recorded: bool = True
    """With ``end``: whether the replica has written the trial's record itself."""


@dataclass
class _Entry:
    job: Job
    inbox: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    verdict: asyncio.Future[bool] | None = None
    replica: int | None = None
    deaths: int = 0
    last_step: int = 0
    is_stopped: bool = False
    has_ended: bool = False

    def decide(self, *, stop: bool) -> None:
        if self.verdict is not None and not self.verdict.done():
            self.verdict.set_result(stop)
        self.verdict = None


@dataclass
class _ReplicaState:
    starts: int = 0
    false_starts: int = 0
    launched_s: float = 0.0
    ready_after_s: float | None = None
    is_lost: bool = False
    error: str = ""


class PoolState:
    """The pool's logic, without Ray: an asyncio object that tests drive directly."""

    def __init__(self, *, replicas: int, max_deaths: int, is_base_scored: bool = False) -> None:
        """Makes an empty pool.

        Args:
            replicas: replicas that will register, at least 1.
            max_deaths: times a trial is taken up again after its replica died under it.
            is_base_scored: whether the frozen base's score is known, from before a resume.
        """
        self._entries: dict[str, _Entry] = {}
        self._queue: deque[str] = deque()
        self._replicas = {index: _ReplicaState() for index in range(replicas)}
        self._max_deaths = max_deaths
        self._changed = asyncio.Condition()
        self._is_closing = False
        self._is_base_scored = is_base_scored
        self._base_claimed_by: int | None = None

    # What thin trials call.

    async def submit(self, job: Job) -> None:
        """Queues a trial; one that is already here and has not ended stays as it is."""
        entry = self._entries.get(job.trial_id)
        if entry is not None and not entry.has_ended:
            return
        self._entries[job.trial_id] = entry = _Entry(job)
        if self._none_left():
            self._fail(entry, self._loss())
            return
        self._queue.append(job.trial_id)
        await self._wake()

    async def next_message(self, trial_id: str) -> Message:
        """Returns the trial's next message; to ask for it lets the trial train on."""
        entry = self._entries[trial_id]
        entry.decide(stop=False)
        return await entry.inbox.get()

    async def stop(self, trial_id: str) -> None:
        """Stops a trial at its next report; one that waits in the queue never starts."""
        entry = self._entries.get(trial_id)
        if entry is None or entry.has_ended:
            return
        entry.is_stopped = True
        entry.decide(stop=True)
        if trial_id in self._queue:
            self._queue.remove(trial_id)
            self._end(entry, Message("end", status="pruned", is_recorded=False))

    # What replicas call.

    async def launched(self, replica: int) -> None:
        """Notes that Ray Train is asked for a replica now: its time to get ready starts."""
        self._replicas[replica].launched_s = time.monotonic()

    async def register(self, replica: int) -> bool:
        """Notes that a replica's processes are up, again or for the first time.

        Returns:
            Whether it shall serve; False once it has died too often before being ready.
        """
        state = self._replicas[replica]
        state.starts += 1
        state.false_starts += 1
        self._requeue_trials_of(replica)
        await self._wake()
        return not self._is_closing and state.false_starts <= MAX_FALSE_STARTS

    async def ready(self, replica: int) -> None:
        """Notes that a replica has its base model and takes trials."""
        state = self._replicas[replica]
        state.false_starts = 0
        self._is_base_scored = self._is_base_scored or self._base_claimed_by == replica
        if state.ready_after_s is None:
            state.ready_after_s = time.monotonic() - state.launched_s
        await self._wake()

    async def broken(self, replica: int, error: str) -> None:
        """Notes why a replica could not get ready."""
        self._replicas[replica].error = error

    async def claim_base(self, replica: int) -> bool:
        """Returns whether this replica shall score the frozen base: one of them does."""
        if self._base_claimed_by is None or self._replicas[self._base_claimed_by].is_lost:
            self._base_claimed_by = replica
        return self._base_claimed_by == replica and not self._is_base_scored

    async def take(self, replica: int, *, timeout_s: float) -> Job | Literal["idle"] | None:
        """Returns the next trial, ``"idle"`` where none came in time, None at the close."""
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: bool(self._queue) or self._is_closing), timeout_s
                )
            except TimeoutError:
                return "idle"
            if self._is_closing:
                return None
            entry = self._entries[self._queue.popleft()]
            entry.replica = replica
            return entry.job

    async def report(self, trial_id: str, step: int, metrics: Mapping[str, float]) -> bool:
        """Hands an evaluation to the trial's thin half and waits for its word.

        A trial that was resumed may report a step again: the second time it is not passed on.

        Returns:
            Whether the trial shall stop.
        """
        entry = self._entries[trial_id]
        if entry.is_stopped or step <= entry.last_step:
            return entry.is_stopped
        entry.last_step = step
        entry.verdict = asyncio.get_running_loop().create_future()
        verdict = entry.verdict
        await entry.inbox.put(Message("report", step=step, metrics=metrics))
        return await verdict

    async def done(
        self, trial_id: str, status: str, *, metrics: Mapping[str, float], error: str = ""
    ) -> None:
        """Notes the end of a trial and its last evaluation; its record is written already."""
        message = Message("end", status=status, metrics=metrics, error=error)
        self._end(self._entries[trial_id], message)

    # What the driver calls.

    async def wait_settled(self, replica: int) -> None:
        """Returns when a replica is ready for the first time, or lost."""
        state = self._replicas[replica]
        async with self._changed:
            await self._changed.wait_for(
                lambda: state.ready_after_s is not None or state.is_lost or self._is_closing
            )

    async def lost(self, replica: int, error: str) -> None:
        """Notes that Ray Train has given up a replica; without any left, all trials fail."""
        state = self._replicas[replica]
        state.is_lost = True
        state.error = state.error or error
        self._requeue_trials_of(replica)
        if self._none_left():
            for trial_id in self._queue:
                self._fail(self._entries[trial_id], self._loss())
            self._queue.clear()
        await self._wake()

    async def close(self) -> None:
        """Lets every replica return from its loop."""
        self._is_closing = True
        await self._wake()

    async def status(self) -> dict[str, Any]:
        """Returns what there is of replicas and queued trials, for the live table."""
        states = list(self._replicas.values())
        return {
            "replicas": len(states),
            "ready": sum(s.ready_after_s is not None and not s.is_lost for s in states),
            "ready_after_s": [s.ready_after_s for s in states if s.ready_after_s is not None],
            "restarts": sum(max(0, s.starts - 1) for s in states),
            "lost": sum(s.is_lost for s in states),
            "errors": [s.error for s in states if s.error],
            "queued": len(self._queue),
        }

    def _requeue_trials_of(self, replica: int) -> None:
        for trial_id, entry in self._entries.items():
            if entry.replica != replica or entry.has_ended:
                continue
            entry.replica = None
            entry.verdict = None
            entry.deaths += 1
            if entry.is_stopped:
                self._end(entry, Message("end", status="pruned", is_recorded=False))
            elif entry.deaths > self._max_deaths:
                self._fail(
                    entry,
                    f"its replica died {entry.deaths} times while training it (out of memory, or a "
                    "lost machine); see the replica's log, then 'resume --retry-failed'",
                )
            else:
                self._queue.appendleft(trial_id)

    def _none_left(self) -> bool:
        return all(state.is_lost for state in self._replicas.values())

    def _loss(self) -> str:
        errors = [state.error for state in self._replicas.values() if state.error]
        return f"no replica is left: {errors[0] if errors else 'all of them ended'}"

    def _fail(self, entry: _Entry, error: str) -> None:
        self._end(entry, Message("end", status="failed", error=error, is_recorded=False))

    def _end(self, entry: _Entry, message: Message) -> None:
        if entry.has_ended:
            return
        entry.has_ended = True
        entry.replica = None
        entry.decide(stop=True)
        entry.inbox.put_nowait(message)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def start_pool(name: str, **settings: Any) -> ActorHandle[Any]:
    """Returns a new pool's actor.

    Args:
        name: under which thin trials find it.
        settings: of :class:`PoolState`.
    """
    # One slot for each waiting call: every thin trial and every replica waits in one.
    options = ray.remote(PoolState).options(name=name, num_cpus=0, max_concurrency=1000)
    return cast("ActorHandle[Any]", options.remote(**settings))


class Replicas:
    """The replicas of one sweep, each a Ray Train run that a thread of the driver waits for."""

    def __init__(
        self, pool: ActorHandle[Any], config: ReplicaConfig, *, count: int, storage: str
    ) -> None:
        """Prepares ``count`` replicas; ``storage`` is Ray Train's own folder."""
        self._pool = pool
        self._config = config
        self._storage = storage
        self._is_over = False
        self._threads = [
            threading.Thread(target=self._fit, args=(index,), daemon=True) for index in range(count)
        ]

    def start(self, *, one_by_one: bool) -> None:
        """Starts the replicas and returns at once; they register with the pool when they are up.

        Args:
            one_by_one: on one machine each replica's start keeps several processors busy with
                imports; in turn the first one serves sooner, and none later.
        """
        launch = threading.Thread(target=self._launch, args=(one_by_one,), daemon=True)
        launch.start()

    def _launch(self, one_by_one: bool) -> None:
        for index, thread in enumerate(self._threads):
            if self._is_over:
                return
            thread.start()
            if one_by_one:
                self._wait_settled(index)

    def _wait_settled(self, index: int) -> None:
        try:
            ray.get(self._pool.wait_settled.remote(index))
        # The sweep ended meanwhile, and Ray with it.
        except Exception:
            if not self._is_over:
                raise

    def abandon(self) -> None:
        """Notes that the sweep is over: nobody is left to be told of a replica's end."""
        self._is_over = True

    def join(self, timeout_s: float) -> None:
        """Waits until every replica has returned, at most ``timeout_s`` seconds in all."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is None:
                continue
            thread.join(max(0.0, deadline - time.monotonic()))

    def _fit(self, index: int) -> None:
        try:
            ray.get(self._pool.launched.remote(index))
            trainer_of(
                serve,
                {"pool": self._pool, "replica": index, "config": self._config},
                self._config.resources,
                name=f"replica-{index}",
                storage=self._storage,
            ).fit()
            error = "it ended"
        # Whatever Ray Train raises, the trials must hear of it.
        except Exception as failure:  # noqa: BLE001
            if not self._is_over:
                logger.warning("replica %d is lost: %s", index, failure)
            error = f"{type(failure).__name__}: {failure}"
        if not self._is_over:
            ray.get(self._pool.lost.remote(index, error))


def status_of(pool: ActorHandle[Any], *, timeout_s: float) -> dict[str, Any]:
    """Returns :meth:`PoolState.status` of a pool's actor.

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


def trainer_of(
    loop: Callable[[dict[str, Any]], None],
    loop_config: dict[str, Any],
    resources: ResourcesSpec,
    *,
    name: str,
    storage: str,
) -> TorchTrainer:
    """Returns a TorchTrainer that runs ``loop`` on one worker group.

    Args:
        loop: run by each worker.
        loop_config: what it is called with.
        resources: size of the group.
        name: of the run, unique within ``storage``.
        storage: folder for Ray Train's own files.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    has_gpu = resources.gpus_per_worker > 0
    per_worker: dict[str, float] = {"CPU": resources.cpus_per_worker}
    if has_gpu:
        per_worker["GPU"] = resources.gpus_per_worker
    return TorchTrainer(
        loop,
        train_loop_config=loop_config,
        torch_config=TorchConfig(backend="nccl" if has_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=resources.workers, use_gpu=has_gpu, resources_per_worker=per_worker
        ),
        run_config=RunConfig(
            name=name,
            storage_path=storage,
            # Ray Train restarts for ever; the pool gives up a replica that never gets ready.
            failure_config=FailureConfig(max_failures=-1),
        ),
    )
