"""The queue of trials: messages, verdicts, deaths, giving up and closing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sweeper.execution.pool.queue import Message, TrialQueue
from tests.sweeper.execution.pool.driving import job, run, settle


def test_a_trial_trains_on_only_when_its_thin_half_asks_for_more() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        await queue.submit(job("a"))
        assert await queue.take(0, timeout_s=1) == job("a")
        report = asyncio.create_task(queue.await_verdict("a", 10, {"eval_loss": 2.0}))
        message = await queue.next_message("a")
        assert (message.kind, message.step, message.metrics) == ("report", 10, {"eval_loss": 2.0})
        await settle()
        assert not report.done()
        following = asyncio.create_task(queue.next_message("a"))
        assert await report == "on"
        await queue.done("a", "complete", metrics={"eval_loss": 1.0})
        assert await following == Message("end", status="complete", metrics={"eval_loss": 1.0})

    run(scenario)


def test_a_stopped_trial_hears_it_at_its_report() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        await queue.submit(job("a"))
        await queue.take(0, timeout_s=1)
        report = asyncio.create_task(queue.await_verdict("a", 10, {}))
        await queue.next_message("a")
        await queue.stop("a")
        assert await report == "prune"
        assert await queue.await_verdict("a", 20, {}) == "prune"

    run(scenario)


def test_a_trial_that_has_ended_in_the_study_ends_at_its_evaluation_whoever_listens() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        await queue.submit(replace(job("a"), ends_at=20))
        await queue.take(0, timeout_s=1)
        first = asyncio.create_task(queue.await_verdict("a", 10, {}))
        await queue.next_message("a")
        following = asyncio.create_task(queue.next_message("a"))
        assert await first == "on"
        assert await queue.await_verdict("a", 20, {}) == "prune"
        following.cancel()

    run(scenario)


def test_a_trial_stopped_in_the_queue_never_starts() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        await queue.submit(job("a"))
        await queue.stop("a")
        assert (await queue.next_message("a")).status == "pruned"
        assert await queue.take(0, timeout_s=0.01) == "idle"

    run(scenario)


def test_a_dead_replica_gives_its_trial_back_to_the_front_of_the_queue() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        for name in ("a", "b"):
            await queue.submit(job(name))
        assert await queue.take(0, timeout_s=1) == job("a")
        await queue.give_back(0)
        assert await queue.take(1, timeout_s=1) == job("a")
        assert await queue.take(0, timeout_s=1) == job("b")

    run(scenario)


def test_a_step_reported_again_after_a_death_is_not_passed_on() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        await queue.submit(job("a"))
        await queue.take(0, timeout_s=1)
        first = asyncio.create_task(queue.await_verdict("a", 10, {}))
        await queue.next_message("a")
        await queue.give_back(0)
        await queue.take(0, timeout_s=1)
        assert await queue.await_verdict("a", 10, {}) == "on"
        first.cancel()

    run(scenario)


def test_a_trial_under_which_replicas_keep_dying_fails_alone() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=1)
        for name in ("a", "b"):
            await queue.submit(job(name))
        for _ in range(2):
            assert await queue.take(0, timeout_s=1) == job("a")
            await queue.give_back(0)
        message = await queue.next_message("a")
        assert message.status == "failed"
        assert "died 2 times" in message.error
        assert not message.is_recorded
        assert await queue.take(0, timeout_s=1) == job("b")

    run(scenario)


def test_closing_lets_a_waiting_replica_go() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        waiting = asyncio.create_task(queue.take(0, timeout_s=60))
        await settle()
        await queue.close()
        assert await waiting is None

    run(scenario)


def test_a_trial_submitted_twice_runs_once() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        await queue.submit(job("a"))
        await queue.submit(job("a"))
        await queue.take(0, timeout_s=1)
        assert await queue.take(0, timeout_s=0.01) == "idle"

    run(scenario)


def test_when_all_is_given_up_what_waits_fails_and_so_does_what_comes() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        for name in ("taken", "waits"):
            await queue.submit(job(name))
        assert await queue.take(0, timeout_s=1) == job("taken")
        await queue.give_up("no replica is left")
        await queue.submit(job("comes"))
        failed = Message("end", status="failed", error="no replica is left", is_recorded=False)
        assert await queue.next_message("waits") == failed
        assert await queue.next_message("comes") == failed
        await queue.done("taken", "complete", metrics={})
        assert (await queue.next_message("taken")).status == "complete"

    run(scenario)


def test_the_length_is_that_of_what_waits() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        for name in ("a", "b"):
            await queue.submit(job(name))
        assert len(queue) == 2
        await queue.take(0, timeout_s=1)
        assert len(queue) == 1

    run(scenario)


# What the owner asks.


def test_a_trial_that_its_owner_stops_hears_it_between_two_evaluations() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        await queue.submit(job("a"))
        await queue.take(0, timeout_s=1)
        assert await queue.course("a") == "on"
        await queue.drop("a")
        await queue.drop("a")
        assert await queue.course("a") == "stop"
        await queue.done("a", "stopped", metrics={})
        assert await queue.next_message("a") == Message("end", status="stopped", metrics={})
        # A trial that has ended is stopped by nobody.
        await queue.drop("a")
        assert (await queue.next_message("a")).status == "stopped"

    run(scenario)


def test_a_trial_that_its_owner_stops_in_its_evaluation_hears_it_as_the_verdict() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        await queue.submit(job("a"))
        await queue.take(0, timeout_s=1)
        report = asyncio.create_task(queue.await_verdict("a", 10, {}))
        await queue.next_message("a")
        await queue.drop("a")
        assert await report == "stop"

    run(scenario)


def test_a_waiting_trial_that_its_owner_stops_never_starts() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        await queue.submit(job("a"))
        await queue.drop("a")
        # One that is still to be submitted, too.
        await queue.drop("b")
        await queue.submit(job("b"))
        for name in ("a", "b"):
            assert await queue.next_message(name) == Message(
                "end", status="stopped", is_recorded=False
            )
        assert await queue.take(0, timeout_s=0.01) == "idle"

    run(scenario)


def test_a_stopped_trial_whose_replica_dies_is_not_taken_up_again() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        await queue.submit(job("a"))
        await queue.take(0, timeout_s=1)
        await queue.drop("a")
        await queue.give_back(0)
        assert await queue.next_message("a") == Message("end", status="stopped", is_recorded=False)
        assert await queue.take(0, timeout_s=0.01) == "idle"

    run(scenario)


def test_a_pause_lets_each_trial_go_and_hands_out_no_other() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        for name in ("steps", "reports", "waits"):
            await queue.submit(job(name))
        for replica in range(2):
            await queue.take(replica, timeout_s=1)
        report = asyncio.create_task(queue.await_verdict("reports", 10, {}))
        await settle()
        assert queue.training == 2
        await queue.pause()
        assert await report == "pause"
        assert await queue.course("steps") == "pause"
        assert await queue.await_verdict("steps", 10, {}) == "pause"
        for name in ("steps", "reports"):
            await queue.put_off(name)
        assert (queue.training, len(queue)) == (0, 3)
        assert await queue.take(0, timeout_s=0.01) == "idle"
        waiting = asyncio.create_task(queue.take(0, timeout_s=60))
        await settle()
        await queue.close()
        assert await waiting is None

    run(scenario)


def test_who_waits_for_the_end_of_a_trial_hears_when_its_replica_is_done() -> None:
    async def scenario() -> None:
        queue = TrialQueue(max_deaths=2)
        # One that it does not know has ended.
        await queue.ended("a")
        await queue.submit(job("a"))
        await queue.take(0, timeout_s=1)
        waiting = asyncio.create_task(queue.ended("a"))
        await queue.stop("a")
        await settle()
        # It is stopped, and its replica still saves the adapter.
        assert not waiting.done()
        await queue.done("a", "pruned", metrics={})
        await asyncio.wait_for(waiting, 5)
        # Only now another run of it is taken.
        await queue.submit(job("a"))
        assert await queue.take(0, timeout_s=1) == job("a")

    run(scenario)
