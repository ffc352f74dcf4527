"""The queue of trials, an inbox of messages for each, and the verdicts on their reports."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sweeper.execution.pool.jobs import Job
from sweeper.tracking.record import Course

__all__ = ["Message", "TrialQueue"]

# Seconds between two looks at a trial that ends.
ENDING_S = 0.05


@dataclass(frozen=True)
class Message:
    """What a thin trial hears of its trial."""

    kind: Literal["report", "end"]
    """A report of an evaluation, or the end of the trial."""
    step: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    status: str = ""
    """With ``end``: complete, pruned, stopped or failed."""
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
    verdict: asyncio.Future[Course] | None = None
    replica: int | None = None
    deaths: int = 0
    last_step: int = 0
    is_stopped: bool = False
    """Its thin half is gone, or has heard enough."""
    is_dropped: bool = False
    """Its owner wants no more of it."""

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

    @property
    def is_training(self) -> bool:
        return self.replica is not None and self.job.final is None

    async def report(self, message: Message) -> Course:
        self.decide("prune")
        verdict: asyncio.Future[Course] = asyncio.get_running_loop().create_future()
        self.verdict = verdict
        self.reports.append(message)
        self.arrived.set()
        return await verdict

    def decide(self, course: Course) -> None:
        if self.verdict is not None and not self.verdict.done():
            self.verdict.set_result(course)
        self.verdict = None

    def end(self, message: Message) -> None:
        # The first word counts: a replica thought dead may still report.
        if self.has_ended:
            return
        self.last_message = message
        self.replica = None
        self.decide("prune")
        self.arrived.set()

    def end_unrecorded(self) -> None:
        status = "pruned" if self.is_stopped else "stopped"
        self.end(Message("end", status=status, is_recorded=False))

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
        self._is_paused = False
        self._dropped: set[str] = set()
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
        if job.trial_id in self._dropped:
            entry.end_unrecorded()
            return
        self._queue.append(job.trial_id)
        await self._wake()

    async def ended(self, trial_id: str) -> None:
        """Returns when no replica has a trial any more: a stopped one still saves its adapter."""
        entry = self._entries.get(trial_id)
        while entry is not None and not entry.has_ended:
            await asyncio.sleep(ENDING_S)

    async def next_message(self, trial_id: str) -> Message:
        """Returns the trial's next message; to ask for it lets the trial train on.

        The end of a trial is its last message, and is what everybody hears who asks after it.
        """
        entry = self._entries[trial_id]
        # A report that nobody has heard yet has no verdict.
        if not entry.reports:
            entry.decide(self._course_of(entry))
        return await entry.next_message()

    async def stop(self, trial_id: str) -> None:
        """Stops a trial at its next report; one that waits in the queue never starts."""
        entry = self._entries.get(trial_id)
        if entry is None or entry.has_ended:
            return
        entry.is_stopped = True
        entry.decide("prune")
        self._end_waiting(trial_id)

    def _end_waiting(self, trial_id: str) -> None:
        if trial_id in self._queue:
            self._queue.remove(trial_id)
            self._entries[trial_id].end_unrecorded()

    def _course_of(self, entry: _Entry) -> Course:
        if entry.is_stopped:
            return "prune"
        if entry.is_dropped:
            return "stop"
        return "pause" if self._is_paused else "on"

    # What the sweep's owner asks.

    async def drop(self, trial_id: str) -> None:
        """Ends a trial for its owner: after its step, or at once where it waits, or will come."""
        entry = self._entries.get(trial_id)
        if entry is None:
            self._dropped.add(trial_id)
            return
        if entry.has_ended:
            return
        entry.is_dropped = True
        entry.decide("stop")
        self._end_waiting(trial_id)

    async def pause(self) -> None:
        """Hands out no trial any more, and lets each go that is in training, after its step."""
        self._is_paused = True
        for entry in self._entries.values():
            entry.decide(self._course_of(entry))

    @property
    def training(self) -> int:
        """How many trials are in training."""
        return sum(entry.is_training for entry in self._entries.values())

    # What replicas call.

    async def take(self, replica: int, *, timeout_s: float) -> Job | Literal["idle"] | None:
        """Returns the next trial, ``"idle"`` where none came in time, None at the close."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(self._has_word), timeout_s)
            except TimeoutError:
                return "idle"
            if self._is_closing:
                return None
            entry = self._entries[self._queue.popleft()]
            entry.replica = replica
            return entry.job

    def _has_word(self) -> bool:
        return self._is_closing or (bool(self._queue) and not self._is_paused)

    async def course(self, trial_id: str) -> Course:
        """Returns how a trial goes on between two evaluations: where it is pruned is known then."""
        entry = self._entries[trial_id]
        found = "on" if entry.has_ended else self._course_of(entry)
        return "on" if found == "prune" else found

    async def put_off(self, trial_id: str) -> None:
        """Takes a trial back that has paused; it keeps its place in front."""
        entry = self._entries[trial_id]
        if entry.has_ended:
            return
        entry.replica = None
        self._queue.appendleft(trial_id)

    async def await_verdict(self, trial_id: str, step: int, metrics: Mapping[str, float]) -> Course:
        """Hands an evaluation to the trial's thin half and waits for its word.

        A trial that was resumed may report a step again: the second time it is not passed on.

        Returns:
            How the trial goes on.
        """
        entry = self._entries[trial_id]
        if entry.has_ended:
            return "prune"
        if entry.job.ends_at is not None and step >= entry.job.ends_at:
            return "prune"
        course = self._course_of(entry)
        if course in {"prune", "stop"} or step <= entry.last_step:
            return course
        entry.last_step = step
        if course == "pause":
            # The record has the evaluation, from which the thin half of a resume hears it.
            return course
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
            entry.decide("prune")
            entry.deaths += 1
            if entry.is_stopped or entry.is_dropped:
                entry.end_unrecorded()
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
