"""The pool's logic, without Ray: the queue of trials and an inbox of reports for each."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sweeper.execution.pool.jobs import Job

__all__ = ["Message", "TrialQueue"]


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


class TrialQueue:
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

    async def await_verdict(self, trial_id: str, step: int, metrics: Mapping[str, float]) -> bool:
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
