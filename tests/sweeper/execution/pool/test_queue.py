"""The pool's logic, driven without Ray: queue, verdicts, deaths, closing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from sweeper.execution.pool.jobs import Job
from sweeper.execution.pool.queue import MAX_FALSE_STARTS, Message, TrialQueue


def job(trial_id: str) -> Job:
    return Job(
        trial_id=trial_id,
        number=0,
        folder=Path("unused"),
        evaluation_steps=(10, 20),
        spec_json="{}",
    )


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), timeout=10))


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_trial_trains_on_only_when_its_thin_half_asks_for_more() -> None:
    async def scenario() -> None:
        pool = TrialQueue(replicas=1, max_deaths=2)
        await pool.submit(job("a"))
        assert await pool.take(0, timeout_s=1) == job("a")
        report = asyncio.create_task(pool.await_verdict("a", 10, {"eval_loss": 2.0}))
        message = await pool.next_message("a")
        assert (message.kind, message.step, message.metrics) == ("report", 10, {"eval_loss": 2.0})
        await settle()
        assert not report.done()
        following = asyncio.create_task(pool.next_message("a"))
        assert await report is False
        await pool.done("a", "complete", metrics={"eval_loss": 1.0})
        assert await following == Message("end", status="complete", metrics={"eval_loss": 1.0})

    run(scenario)


def test_a_stopped_trial_hears_it_at_its_report() -> None:
    async def scenario() -> None:
        pool = TrialQueue(replicas=1, max_deaths=2)
        await pool.submit(job("a"))
        await pool.take(0, timeout_s=1)
        report = asyncio.create_task(pool.await_verdict("a", 10, {}))
        await pool.next_message("a")
        await pool.stop("a")
        assert await report is True
        assert await pool.await_verdict("a", 20, {}) is True

    run(scenario)


def test_a_trial_stopped_in_the_queue_never_starts() -> None:
    async def scenario() -> None:
        pool = TrialQueue(replicas=1, max_deaths=2)
        await pool.submit(job("a"))
        await pool.stop("a")
        assert (await pool.next_message("a")).status == "pruned"
        assert await pool.take(0, timeout_s=0.01) == "idle"

    run(scenario)


def test_a_dead_replica_gives_its_trial_back_to_the_front_of_the_queue() -> None:
    async def scenario() -> None:
        pool = TrialQueue(replicas=2, max_deaths=2)
        for name in ("a", "b"):
            await pool.submit(job(name))
        assert await pool.take(0, timeout_s=1) == job("a")
        assert await pool.register(0)
        assert await pool.take(1, timeout_s=1) == job("a")
        assert await pool.take(0, timeout_s=1) == job("b")

    run(scenario)


def test_a_step_reported_again_after_a_death_is_not_passed_on() -> None:
    async def scenario() -> None:
        pool = TrialQueue(replicas=1, max_deaths=2)
        await pool.submit(job("a"))
        await pool.take(0, timeout_s=1)
        first = asyncio.create_task(pool.await_verdict("a", 10, {}))
        await pool.next_message("a")
        await pool.register(0)
        await pool.take(0, timeout_s=1)
        assert await pool.await_verdict("a", 10, {}) is False
        first.cancel()

    run(scenario)


def test_a_trial_under_which_replicas_keep_dying_fails_alone() -> None:
    async def scenario() -> None:
        pool = TrialQueue(replicas=1, max_deaths=1)
        for name in ("a", "b"):
            await pool.submit(job(name))
        for _ in range(2):
            assert await pool.take(0, timeout_s=1) == job("a")
            await pool.ready(0)
            assert await pool.register(0)
        message = await pool.next_message("a")
        assert message.status == "failed"
        assert "died 2 times" in message.error
        assert not message.is_recorded
        assert await pool.take(0, timeout_s=1) == job("b")

    run(scenario)


def test_a_replica_that_never_gets_ready_is_given_up_and_all_trials_fail() -> None:
    async def scenario() -> None:
        pool = TrialQueue(replicas=1, max_deaths=2)
        await pool.submit(job("a"))
        verdicts = [await pool.register(0) for _ in range(MAX_FALSE_STARTS + 1)]
        assert verdicts == [True] * MAX_FALSE_STARTS + [False]
        await pool.broken(0, "MissingError: no model")
        await pool.lost(0, "it ended")
        assert "MissingError: no model" in (await pool.next_message("a")).error
        await pool.submit(job("b"))
        assert (await pool.next_message("b")).status == "failed"

    run(scenario)


def test_closing_lets_a_waiting_replica_go() -> None:
    async def scenario() -> None:
        pool = TrialQueue(replicas=1, max_deaths=2)
        waiting = asyncio.create_task(pool.take(0, timeout_s=60))
        await settle()
        await pool.close()
        assert await waiting is None
        assert await pool.register(0) is False

    run(scenario)


def test_a_trial_submitted_twice_runs_once() -> None:
    async def scenario() -> None:
        pool = TrialQueue(replicas=1, max_deaths=2)
        await pool.submit(job("a"))
        await pool.submit(job("a"))
        await pool.take(0, timeout_s=1)
        assert await pool.take(0, timeout_s=0.01) == "idle"

    run(scenario)


def test_status_counts_replicas_and_queue() -> None:
    async def scenario() -> None:
        pool = TrialQueue(replicas=2, max_deaths=2)
        await pool.register(0)
        await pool.ready(0)
        await pool.submit(job("a"))
        status = await pool.status()
        assert (status["replicas"], status["ready"], status["queued"]) == (2, 1, 1)
        assert len(status["ready_after_s"]) == 1

    run(scenario)


def test_a_replica_is_settled_when_it_is_ready_or_lost() -> None:
    async def scenario() -> None:
        pool = TrialQueue(replicas=2, max_deaths=2)
        waiting = [asyncio.create_task(pool.wait_settled(index)) for index in range(2)]
        await pool.launched(0)
        await pool.register(0)
        await settle()
        assert not waiting[0].done()
        await pool.ready(0)
        await pool.lost(1, "no room")
        await asyncio.gather(*waiting)
        assert (await pool.status())["errors"] == ["no room"]

    run(scenario)
