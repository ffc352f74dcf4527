"""What the threads that wait for replicas do where the pool has died; without Ray."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from ray.exceptions import ActorUnavailableError

from sweeper.execution.pool import replicas
from sweeper.execution.pool.replicas import ReplicaSet


@pytest.fixture
def uncaught(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """What ends threads."""
    found: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: found.append(args.exc_value))
    return found


@pytest.mark.parametrize("one_by_one", [True, False])
def test_no_thread_ends_with_a_traceback_where_the_pool_has_died(
    monkeypatch: pytest.MonkeyPatch,
    uncaught: list[BaseException | None],
    *,
    one_by_one: bool,
) -> None:
    asked: list[str] = []

    def gone(name: str) -> NoReturn:
        asked.append(name)
        raise ActorUnavailableError(f"the pool is gone: {name}", b"0" * 16)

    monkeypatch.setattr(replicas, "ray", SimpleNamespace(get=gone))
    calls = ("launched", "lost", "wait_settled")
    pool: Any = SimpleNamespace(
        **{name: SimpleNamespace(remote=lambda *_, name=name: name) for name in calls}
    )
    config: Any = SimpleNamespace(resources=None)
    servers = ReplicaSet(pool, config, count=2, storage="")
    servers.start(one_by_one=one_by_one)
    wanted = ["launched", "lost"] * 2 + ["wait_settled"] * (2 if one_by_one else 0)
    for _ in range(500):
        if sorted(asked) == sorted(wanted):
            break
        threading.Event().wait(0.02)
    servers.join(5)
    assert sorted(asked) == sorted(wanted)
    assert uncaught == []
