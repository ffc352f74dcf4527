"""The queue of trials, an inbox of messages for each, and the verdicts on their reports."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sweeper.execution.pool.jobs import Job

__all__ = ["Message", "TrialQueue"]


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
    reports: deque[Message] = field(default_factory=deque)
    last_message: Message | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    verdict: asyncio.Future[bool] | None = None
    replica: int | None = None
    deaths: int = 0
    last_step: int = 0
    is_stopped: bool = False

    @property
    def has_ended(self) -> bool:
        return self.last_message is not None

    async def next_message(self) -> Message:
        # A report is heard once, by whoever asks first; the end by all who ask, however late.
        while not (self.reports or self.last_message):
            self.arrived.clear()
            await self.arrived.wait()
        if self.reports:
            return self.reports.popleft()
        assert self.last_message is not None
        return self.last_message

    async def report(self, message: Message) -> bool:
        self.decide(stop=True)
        verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.verdict = verdict
        self.reports.append(message)
        self.arrived.set()
        return await verdict

    def decide(self, *, stop: bool) -> None:
        if self.verdict is not None and not self.verdict.done():
            self.verdict.set_result(stop)
        self.verdict = None

    def end(self, message: Message) -> None:
        # The first word counts: a replica thought dead may still report.
        if self.has_ended:
            return
        self.last_message = message
        self.replica = None
        self.decide(stop=True)
        self.arrived.set()

    def prune_unrecorded(self) -> None:
        self.end(Message("end", status="pruned", is_recorded=False))

    def fail_unrecorded(self, error: str) -> None:
        self.end(Message("end", status="failed", error=error, is_recorded=False))


class TrialQueue:
    """The trials of a sweep on their way to replicas and back; an asyncio object without Ray."""

    def __init__(self, *, max_deaths: int) -> None:
        """Makes an empty queue.

        Args:
            max_deaths: times a trial is taken up again after its replica died under it.
        """
        self._entries: dict[str, _Entry] = {}
        self._queue: deque[str] = deque()
        self._max_deaths = max_deaths
        self._changed = asyncio.Condition()
        self._is_closing = False
        self._given_up: str | None = None

    def __len__(self) -> int:
        """Returns how many trials wait for a replica."""
        return len(self._queue)

    # What thin trials call.

    async def submit(self, job: Job) -> None:
        """Queues a trial; one that is already here and has not ended stays as it is."""
        entry = self._entries.get(job.trial_id)
        if entry is not None and not entry.has_ended:
            return
        self._entries[job.trial_id] = entry = _Entry(job)
        if self._given_up is not None:
            entry.fail_unrecorded(self._given_up)
            return
        self._queue.append(job.trial_id)
        await self._wake()

    async def next_message(self, trial_id: str) -> Message:
        """Returns the trial's next message; to ask for it lets the trial train on.

        The end of a trial is its last message, and is what everybody hears who asks after it.
        """
        entry = self._entries[trial_id]
        # A report that nobody has heard yet has no verdict.
        if not entry.reports:
            entry.decide(stop=entry.is_stopped)
        return await entry.next_message()

    async def stop(self, trial_id: str) -> None:
        """Stops a trial at its next report; one that waits in the queue never starts."""
        entry = self._entries.get(trial_id)
        if entry is None or entry.has_ended:
            return
        entry.is_stopped = True
        entry.decide(stop=True)
        if trial_id in self._queue:
            self._queue.remove(trial_id)
            entry.prune_unrecorded()

    # What replicas call.

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
        if entry.is_stopped or entry.has_ended or step <= entry.last_step:
            return entry.is_stopped or entry.has_ended
        entry.last_step = step
        return await entry.report(Message("report", step=step, metrics=metrics))

    async def done(
        self,
        trial_id: str,
        status: str,
        *,
        metrics: Mapping[str, float],
        step: int = 0,
        error: str = "",
    ) -> None:
        """Notes the end of a trial and its last evaluation; its record is written already.

        Args:
            trial_id: of the trial.
            status: complete, pruned or failed.
            metrics: of its last evaluation.
            step: optimiser steps done; 0 of what trains nothing.
            error: why it failed.
        """
        # A replica thought dead may end a trial that was put back.
        if trial_id in self._queue:
            self._queue.remove(trial_id)
        message = Message("end", step=step, status=status, metrics=metrics, error=error)
        self._entries[trial_id].end(message)

    # What becomes of the trials where replicas come and go.

    async def give_back(self, replica: int) -> None:
        """Puts the trial of a dead replica back to the front; a stopped one ends instead.

        A trial under which replicas have died too often fails.
        """
        for trial_id, entry in self._entries.items():
            if entry.replica != replica or entry.has_ended:
                continue
            entry.replica = None
            entry.decide(stop=True)
            entry.deaths += 1
            if entry.is_stopped:
                entry.prune_unrecorded()
            elif entry.deaths > self._max_deaths:
                entry.fail_unrecorded(
                    f"its replica died {entry.deaths} times while training it (out of memory, or a "
                    "lost machine); see the replica's log, then 'resume --retry-failed'"
                )
            else:
                self._queue.appendleft(trial_id)
        await self._wake()

    async def give_up(self, error: str) -> None:
        """Fails the trials that wait, and those that are submitted later.

        Args:
            error: why nothing is trained any more.
        """
        self._given_up = error
        for trial_id in self._queue:
            self._entries[trial_id].fail_unrecorded(error)
        self._queue.clear()
        await self._wake()

    async def close(self) -> None:
        """Lets every replica that waits for a trial go."""
        self._is_closing = True
        await self._wake()

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()
