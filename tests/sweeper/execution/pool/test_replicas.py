"""What the threads that wait for replicas do where the pool has died; without Ray."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from ray.exceptions import ActorUnavailableError
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import (
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
)

from sweeper.execution.pool import replicas
from sweeper.execution.pool.registry import MAX_FALSE_STARTS, ReplicaRegistry
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


class _FakePool:
    """A pool's registry as a thread of the driver asks it."""

    def __init__(self) -> None:
        self.registry = ReplicaRegistry(replicas=1)
        self.losses: list[str] = []

    def get(self, asked: tuple[str, tuple[Any, ...]]) -> object:
        name, given = asked
        if name == "lost":
            self.losses.append(given[1])
            return None
        return getattr(self.registry, name)(*given)

    def __getattr__(self, name: str) -> object:
        return SimpleNamespace(remote=lambda *given: (name, given))


_NO_ROOM = ControllerError(WorkerGroupStartupTimeoutError(1))
_DIED = ControllerError(WorkerGroupStartupFailedError("a worker died"))
_WORKERS_DIED = WorkerGroupError("workers died", {0: RuntimeError("killed")})


@pytest.mark.parametrize(
    ("runs", "number", "lost"),
    [
        # Never ready: three more runs, or one in which Ray Train itself has tried it again.
        ([(False, _DIED)] * 4, 4, "ControllerError: "),
        ([(False, _WORKERS_DIED)], 1, "WorkerGroupError: "),
        ([(True, _WORKERS_DIED), (True, _DIED), *[(False, _DIED)] * 4], 6, "ControllerError: "),
        # Room may come for as long as there is none, and that is no failed start.
        ([(False, _NO_ROOM)] * 5 + [(False, _DIED), (True, None)], 7, "it ended"),
        ([(True, None)], 1, "it ended"),
    ],
)
def test_another_run_follows_until_starts_have_failed_too_often(
    monkeypatch: pytest.MonkeyPatch,
    runs: list[tuple[bool, Exception | None]],
    number: int,
    lost: str,
) -> None:
    pool: Any = _FakePool()
    names: list[str] = []

    def trainer(*_: object, name: str, **__: object) -> SimpleNamespace:
        names.append(name)
        is_ready, error = runs[len(names) - 1]

        def fit() -> None:
            if is_ready:
                asyncio.run(pool.registry.ready(0))
            if error is not None:
                raise error

        return SimpleNamespace(fit=fit)

    monkeypatch.setattr(replicas, "ray", SimpleNamespace(get=pool.get))
    monkeypatch.setattr(replicas, "trainer_of", trainer)
    config: Any = SimpleNamespace(resources=None)
    servers = ReplicaSet(pool, config, count=1, storage="")
    servers.start(one_by_one=False)
    for _ in range(500):
        if pool.losses:
            break
        threading.Event().wait(0.02)
    assert len(set(names)) == len(names) == number
    (said,) = pool.losses
    assert said.startswith(lost)


def test_a_replica_that_fails_is_tried_again_a_few_times(tmp_path) -> None:
    trainer = trainer_of(print, {}, ResourcesSpec(workers=1), name="r", storage=str(tmp_path))
    limits = trainer.run_config.failure_config
    assert limits.max_failures == MAX_FALSE_STARTS
    assert (limits.controller_failure_limit, limits.max_preemption_failures) == (0, -1)


def test_the_end_of_a_controller_does_not_wait_for_an_api_server(tmp_path) -> None:
    from ray.train.v2.api import data_parallel_trainer

    resources = ResourcesSpec(workers=1)
    trainer_of(print, {}, resources, name="replica-0", storage=str(tmp_path))
    made = vars(data_parallel_trainer)["PlacementGroupCleanerCallback"]()
    assert made._stop_timeout == CLEANER_S
