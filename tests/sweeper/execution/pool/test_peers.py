"""What the workers of a replica know of each other, without Ray; with it see nodes/."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError

from sweeper.execution.pool import peers
from sweeper.execution.pool.peers import Peers


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Peers:
    """Two workers on two machines of three."""
    actor = SimpleNamespace(__ray_ready__=SimpleNamespace(remote=lambda: "asked"))
    own = SimpleNamespace(get_node_id=lambda: "22", current_actor=actor)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: own)
    monkeypatch.setattr(peers, "workers", lambda: 2)
    monkeypatch.setattr(peers, "gather", lambda value, group: [value, ("11", actor)])
    known = [{"NodeID": f"{n}{n}", "NodeName": name} for n, name in enumerate(("head", "a", "b"))]
    monkeypatch.setattr(ray, "nodes", lambda: known)
    return Peers(None)


def test_machines_are_named_in_the_order_of_the_ranks(pair: Peers) -> None:
    assert pair.nodes() == ["b", "a"]


def test_on_a_cluster_of_one_machine_none_is_named(
    pair: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "22", "NodeName": "127.0.0.1"}])
    assert pair.nodes() == []


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (None, False),
        (ActorDiedError(), True),
        (ActorUnavailableError("no connection", None), True),
        (GetTimeoutError("hangs"), True),
    ],
)
def test_a_worker_that_does_not_answer_is_lost(
    pair: Peers, monkeypatch: pytest.MonkeyPatch, error: Exception | None, is_lost: bool
) -> None:
    def answer(asked: Any, *, timeout: float) -> None:
        assert asked == ["asked", "asked"]
        assert timeout > 0
        if error is not None:
            raise error

    monkeypatch.setattr(ray, "get", answer)
    assert pair.is_one_lost() is is_lost
