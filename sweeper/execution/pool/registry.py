"""What is known of each replica: whether it starts, is ready, or is lost."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

__all__ = ["MAX_FALSE_STARTS", "ReplicaRegistry"]

MAX_FALSE_STARTS = 3
"""Times in a row that a replica may die before it is ready; then it is given up."""


@dataclass
class _Replica:
    starts: int = 0
    false_starts: int = 0
    failed_starts: int = 0
    """Starts that failed before its processes could register, since it was ready last."""
    was_ready: bool = False
    """Whether it was ready in the run of Ray Train that there is."""
    launched_s: float = 0.0
    ready_after_s: float | None = None
    is_serving: bool = False
    is_lost: bool = False
    error: str = ""


class ReplicaRegistry:
    """The replicas of a sweep, from their launch to their loss; an asyncio object without Ray."""

    def __init__(self, *, replicas: int, is_base_scored: bool = False) -> None:
        """Makes a registry of replicas that are not launched yet.

        Args:
            replicas: replicas that will register, at least 1.
            is_base_scored: whether the frozen base's score is known, from before a resume.
        """
        self._replicas = [_Replica() for _ in range(replicas)]
        self._changed = asyncio.Condition()
        self._is_closing = False
        self._is_base_scored = is_base_scored
        self._base_claimed_by: int | None = None

    def launched(self, replica: int) -> bool:
        """Notes that Ray Train is asked for a replica now: its time to get ready starts.

        Returns:
            Whether it shall be: not at the close, nor where it has failed too often.
        """
        state = self._replicas[replica]
        if self._is_closing or state.failed_starts > MAX_FALSE_STARTS:
            return False
        state.was_ready = False
        state.launched_s = time.monotonic()
        return True

    def failed(self, replica: int, starts: int) -> None:
        """Notes that a run of Ray Train has failed.

        Args:
            replica: its index.
            starts: times that it was tried; 0 where there was no room for it.
        """
        state = self._replicas[replica]
        state.failed_starts = 0 if state.was_ready else state.failed_starts + starts

    def register(self, replica: int) -> bool:
        """Notes that a replica's processes are up, again or for the first time.

        Returns:
            Whether it shall serve; False at the close, and once it has died too often before being
            ready.
        """
        state = self._replicas[replica]
        state.starts += 1
        state.false_starts += 1
        state.is_serving = False
        return not self._is_closing and state.false_starts <= MAX_FALSE_STARTS

    async def ready(self, replica: int) -> None:
        """Notes that a replica has its base model and takes trials."""
        state = self._replicas[replica]
        state.false_starts = 0
        state.was_ready = True
        state.is_serving = True
        self._is_base_scored = self._is_base_scored or self._base_claimed_by == replica
        if state.ready_after_s is None:
            state.ready_after_s = time.monotonic() - state.launched_s
        await self._wake()

    def broken(self, replica: int, error: str) -> None:
        """Notes why a replica could not get ready."""
        self._replicas[replica].error = error

    def claim_base(self, replica: int) -> bool:
        """Returns whether this replica shall score the frozen base: one of them does."""
        if self._base_claimed_by is None or self._replicas[self._base_claimed_by].is_lost:
            self._base_claimed_by = replica
        return self._base_claimed_by == replica and not self._is_base_scored

    async def lost(self, replica: int, error: str) -> None:
        """Notes that Ray Train has given up a replica.

        Args:
            replica: its index.
            error: why, where the replica itself has not said.
        """
        state = self._replicas[replica]
        state.is_lost = True
        state.error = state.error or error
        await self._wake()

    def loss(self) -> str | None:
        """Returns why no replica is left, or None as long as there is one."""
        if not all(state.is_lost for state in self._replicas):
            return None
        errors = self._errors()
        return f"no replica is left: {errors[0] if errors else 'all of them ended'}"

    async def wait_settled(self, replica: int) -> None:
        """Returns when a replica is ready for the first time, or lost."""
        state = self._replicas[replica]
        async with self._changed:
            await self._changed.wait_for(
                lambda: state.ready_after_s is not None or state.is_lost or self._is_closing
            )

    async def close(self) -> None:
        """Refuses replicas that register from now on, and waits for none."""
        self._is_closing = True
        await self._wake()

    def status(self) -> dict[str, Any]:
        """Returns how many replicas there are of each kind, for the live table."""
        states = self._replicas
        return {
            "replicas": len(states),
            "ready": sum(s.ready_after_s is not None and not s.is_lost for s in states),
            "ready_after_s": [s.ready_after_s for s in states if s.ready_after_s is not None],
            "restarting": sum(s.starts > 1 and not (s.is_serving or s.is_lost) for s in states),
            "restarts": sum(max(0, s.starts - 1) for s in states),
            "lost": sum(s.is_lost for s in states),
            "errors": self._errors(),
        }

    def _errors(self) -> list[str]:
        return [state.error for state in self._replicas if state.error]

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()
