"""What the threads that wait for replicas do where the pool has died; without Ray."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from ray.exceptions import ActorUnavailableError

from sweeper.execution.pool import replicas
from sweeper.execution.pool.replicas import CLEANER_S, ReplicaSet, trainer_of
from sweeper.experiment.sweep import ResourcesSpec


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


def test_the_end_of_a_controller_does_not_wait_for_an_api_server(tmp_path) -> None:
    from ray.train.v2.api import data_parallel_trainer

    resources = ResourcesSpec(workers=1)
    trainer_of(print, {}, resources, name="replica-0", storage=str(tmp_path))
    made = vars(data_parallel_trainer)["PlacementGroupCleanerCallback"]()
    assert made._stop_timeout == CLEANER_S
