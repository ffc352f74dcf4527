"""The line that says what a sweep does besides its trials."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sweeper._text import count
from sweeper.errors import PoolLostError
from sweeper.execution.pool.actor import status_of

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["StatusLine", "describe"]

# Seconds that the live table waits for the pool's word.
NOTE_S = 5.0


class StatusLine:
    """What the live table shows of a sweep: the pool's word, or a stage where there is no pool."""

    def __init__(self, stage: str) -> None:
        """Begins with a stage."""
        self._stage = stage
        self._pool: ActorHandle[Any] | None = None
        self._work: Callable[[], str] | None = None
        # Held while the pool is asked: to ask it after Ray has gone would start another Ray.
        self._asking = threading.Lock()

    def follow(self, pool: ActorHandle[Any]) -> None:
        """Asks a pool's actor from now on."""
        self._pool = pool

    def show(self, work: Callable[[], str]) -> None:
        """Shows from now on what a function says, before the pool's word.

        Args:
            work: returns how far something is that is no trial; called from any thread.
        """
        self._work = work

    def leave(self, stage: str) -> None:
        """Asks no pool any more and shows a stage instead; waits for a question under way."""
        with self._asking:
            self._pool, self._work, self._stage = None, None, stage

    def text(self) -> str:
        """Returns the line; callable from any thread."""
        with self._asking:
            if self._pool is None:
                return self._stage
            work = "" if self._work is None else self._work()
            try:
                status = describe(status_of(self._pool, timeout_s=NOTE_S))
            except PoolLostError:
                status = ""
        return "; ".join(part for part in (work, status) if part)


def describe(status: Mapping[str, Any]) -> str:
    """Returns what of a pool's status is worth a line: who is missed, and why.

    Args:
        status: from :func:`~sweeper.execution.pool.actor.status_of`.
    """
    waiting = status["replicas"] - status["lost"] - status["ready"]
    parts = [f"{status['ready']} of {status['replicas']} replicas ready"] if waiting else []
    parts += [count(status["restarts"], "replica restart")] if status["restarts"] else []
    parts += [f"{count(status['lost'], 'replica')} lost"] if status["lost"] else []
    return "; ".join([*parts, *status["errors"][:1]])
