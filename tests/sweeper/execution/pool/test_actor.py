"""The whole pool, driven without Ray: what its queue and its registry do together."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import pytest
import ray
from ray.exceptions import ActorDiedError, GetTimeoutError

from sweeper.errors import PoolLostError
from sweeper.execution.pool.actor import Pool, close, release, run_jobs, start_pool, status_of
from sweeper.execution.pool.queue import Message
from sweeper.execution.pool.registry import MAX_FALSE_STARTS
from tests.sweeper.execution.pool.driving import job, run, settle

NODE_ID = "2f" * 28


def test_the_pool_is_on_the_machine_of_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = mock.Mock()
    monkeypatch.setattr(ray, "remote", remote)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: mock.Mock(get_node_id=lambda: NODE_ID))
    start_pool("pool", replicas=1, max_deaths=2)
    options = remote.return_value.options.call_args.kwargs
    place = options["scheduling_strategy"]
    assert (place.node_id, place.soft, options["num_cpus"]) == (NODE_ID, False, 0)


def test_a_dead_replica_gives_its_trial_back_to_the_front_of_the_queue() -> None:
    async def scenario() -> None:
        pool = Pool(replicas=2, max_deaths=2)
        for name in ("a", "b"):
            await pool.submit(job(name))
        assert await pool.take(0, timeout_s=1) == job("a")
        assert await pool.register(0)
        assert await pool.take(1, timeout_s=1) == job("a")
        assert await pool.take(0, timeout_s=1) == job("b")

    run(scenario)


def test_a_trial_under_which_replicas_keep_dying_fails_alone() -> None:
    async def scenario() -> None:
        pool = Pool(replicas=1, max_deaths=1)
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
        pool = Pool(replicas=1, max_deaths=2)
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
        pool = Pool(replicas=1, max_deaths=2)
        waiting = asyncio.create_task(pool.take(0, timeout_s=60))
        await settle()
        await pool.close()
        assert await waiting is None
        assert await pool.register(0) is False

    run(scenario)


def test_status_counts_replicas_and_queue() -> None:
    async def scenario() -> None:
        pool = Pool(replicas=2, max_deaths=2)
        await pool.register(0)
        await pool.ready(0)
        await pool.submit(job("a"))
        status = await pool.status()
        assert (status["replicas"], status["ready"], status["queued"]) == (2, 1, 1)
        assert len(status["ready_after_s"]) == 1

    run(scenario)


def test_a_replica_is_settled_when_it_is_ready_or_lost() -> None:
    async def scenario() -> None:
        pool = Pool(replicas=2, max_deaths=2)
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


def test_a_stopped_trial_whose_replica_died_ends_and_does_not_start_again() -> None:
    async def scenario() -> None:
        pool = Pool(replicas=1, max_deaths=2)
        await pool.submit(job("a"))
        await pool.take(0, timeout_s=1)
        await pool.stop("a")
        await pool.register(0)
        assert await pool.next_message("a") == Message("end", status="pruned", is_recorded=False)
        assert await pool.take(0, timeout_s=0.01) == "idle"

    run(scenario)


def test_a_lost_replica_leaves_its_trial_to_the_others() -> None:
    async def scenario() -> None:
        pool = Pool(replicas=2, max_deaths=2)
        await pool.submit(job("a"))
        await pool.take(0, timeout_s=1)
        await pool.lost(0, "no room")
        assert await pool.take(1, timeout_s=1) == job("a")
        await pool.submit(job("b"))
        assert await pool.take(1, timeout_s=1) == job("b")

    run(scenario)


def test_the_actor_has_every_method_that_the_others_call() -> None:
    called = {
        *("submit", "next_message", "stop", "ended"),
        *("register", "ready", "broken", "claim_base", "take", "done"),
        *("await_verdict", "course", "put_off", "drop", "pause"),
        *("launched", "failed", "wait_settled", "lost", "close", "status"),
    }
    assert all(asyncio.iscoroutinefunction(getattr(Pool, name)) for name in called)
    assert {name for name in vars(Pool) if not name.startswith("_")} == called


@pytest.mark.parametrize("error", [ActorDiedError(), GetTimeoutError()])
@pytest.mark.parametrize(
    "ask",
    [
        lambda pool: status_of(pool, timeout_s=1),
        lambda pool: release(pool, "a"),
        lambda pool: run_jobs(pool, [job("a")]),
        close,
    ],
)
def test_a_pool_that_has_died_is_told_as_such(
    ask: Any, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(*_: object, **__: object) -> object:
        raise error

    monkeypatch.setattr(ray, "get", no_answer)
    with pytest.raises(PoolLostError, match="hands trials to the replicas has died"):
        ask(mock.MagicMock())
