"""The registry of replicas: starts, false starts, the base's score, and loss."""

from __future__ import annotations

import asyncio

from sweeper.execution.pool.registry import MAX_FALSE_STARTS, ReplicaRegistry
from tests.sweeper.execution.pool.driving import run, settle


def test_a_replica_that_never_gets_ready_is_given_up() -> None:
    registry = ReplicaRegistry(replicas=1)
    verdicts = [registry.register(0) for _ in range(MAX_FALSE_STARTS + 1)]
    assert verdicts == [True] * MAX_FALSE_STARTS + [False]


def test_a_replica_that_was_ready_may_start_falsely_as_often_again() -> None:
    async def scenario() -> None:
        registry = ReplicaRegistry(replicas=1)
        for _ in range(3):
            assert all(registry.register(0) for _ in range(MAX_FALSE_STARTS))
            await registry.ready(0)
        assert registry.status()["restarts"] == 3 * MAX_FALSE_STARTS - 1

    run(scenario)


def test_there_is_a_loss_only_when_no_replica_is_left() -> None:
    async def scenario() -> None:
        registry = ReplicaRegistry(replicas=2)
        registry.broken(1, "MissingError: no model")
        await registry.lost(1, "it ended")
        assert registry.loss() is None
        await registry.lost(0, "")
        # What the replica says itself comes before what Ray Train says.
        assert registry.loss() == "no replica is left: MissingError: no model"

    run(scenario)


def test_a_loss_without_a_reason_is_told_as_one() -> None:
    async def scenario() -> None:
        registry = ReplicaRegistry(replicas=1)
        await registry.lost(0, "")
        assert registry.loss() == "no replica is left: all of them ended"

    run(scenario)


def test_one_replica_scores_the_base_and_another_one_where_it_is_lost() -> None:
    async def scenario() -> None:
        registry = ReplicaRegistry(replicas=3)
        assert [registry.claim_base(index) for index in (1, 0, 1)] == [True, False, True]
        await registry.lost(1, "no room")
        assert registry.claim_base(0)
        await registry.ready(0)
        assert not registry.claim_base(0)
        assert not registry.claim_base(2)

    run(scenario)


def test_a_base_that_was_scored_before_a_resume_is_not_scored_again() -> None:
    assert not ReplicaRegistry(replicas=1, is_base_scored=True).claim_base(0)


def test_a_replica_is_settled_when_it_is_ready_or_lost() -> None:
    async def scenario() -> None:
        registry = ReplicaRegistry(replicas=2)
        waiting = [asyncio.create_task(registry.wait_settled(index)) for index in range(2)]
        registry.launched(0)
        registry.register(0)
        await settle()
        assert not waiting[0].done()
        await registry.ready(0)
        await settle()
        assert [task.done() for task in waiting] == [True, False]
        await registry.lost(1, "no room")
        await asyncio.gather(*waiting)

    run(scenario)


def test_a_replica_is_launched_until_its_starts_have_failed_too_often() -> None:
    async def scenario() -> None:
        registry = ReplicaRegistry(replicas=1)
        for _ in range(MAX_FALSE_STARTS):
            assert registry.launched(0)
            registry.failed(0, 1)
            registry.failed(0, 0)
        assert registry.launched(0)
        # Once it was ready, what failed before is past.
        await registry.ready(0)
        registry.failed(0, MAX_FALSE_STARTS + 1)
        assert registry.launched(0)
        registry.failed(0, MAX_FALSE_STARTS + 1)
        assert not registry.launched(0)

    run(scenario)


def test_after_the_close_nobody_waits_and_nobody_serves() -> None:
    async def scenario() -> None:
        registry = ReplicaRegistry(replicas=1)
        waiting = asyncio.create_task(registry.wait_settled(0))
        await settle()
        await registry.close()
        await waiting
        assert registry.register(0) is False
        assert registry.launched(0) is False

    run(scenario)


def test_status_counts_the_replicas_of_each_kind() -> None:
    async def scenario() -> None:
        registry = ReplicaRegistry(replicas=3)
        registry.launched(0)
        registry.register(0)
        await registry.ready(0)
        registry.register(0)
        registry.register(1)
        await registry.lost(2, "no room")
        status = registry.status()
        (ready_after_s,) = status.pop("ready_after_s")
        assert ready_after_s >= 0
        assert status == {
            "replicas": 3,
            "ready": 1,
            "restarting": 1,
            "restarts": 1,
            "lost": 1,
            "errors": ["no room"],
        }

    run(scenario)
