"""How tests drive the pool's asyncio objects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from sweeper.execution.pool.jobs import Job


def job(trial_id: str) -> Job:
    """A job that nobody trains."""
    return Job(
        trial_id=trial_id,
        number=0,
        folder=Path("unused"),
        evaluation_steps=(10, 20),
        spec_json="{}",
    )


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Runs a scenario, which must not hang."""
    asyncio.run(asyncio.wait_for(scenario(), timeout=10))


async def settle() -> None:
    """Lets the other tasks go on until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)
