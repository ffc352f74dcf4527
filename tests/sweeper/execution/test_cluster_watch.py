"""A cluster that dies is told of once; one that lives, or ends in order, is not."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import ray

from sweeper.execution import cluster_watch
from sweeper.execution.cluster_watch import watched_cluster


@dataclass
class Node:
    """What the watch asks of Ray's node."""

    gcs_address: str
    processes: dict[str, subprocess.Popen[bytes]]

    def dead_processes(self) -> list[tuple[str, Any]]:
        return [(kind, p) for kind, p in self.processes.items() if p.poll() is not None]


@pytest.fixture
def head() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def node(head: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    kinds = ("gcs_server", "raylet", "log_monitor")
    port = head.getsockname()[1]
    node = Node(f"127.0.0.1:{port}", {kind: subprocess.Popen(sleeping) for kind in kinds})
    monkeypatch.setattr(ray._private.worker, "_global_node", node)
    monkeypatch.setattr(cluster_watch, "LOOK_S", 0.01)
    yield node
    for process in node.processes.values():
        process.kill()
        process.wait()


def told_after(death: Any) -> list[str]:
    """What is told when ``death`` has happened, and some looks more."""
    told: list[str] = []
    heard = threading.Event()

    def hear(dead: str) -> None:
        told.append(dead)
        heard.set()

    with watched_cluster(hear):
        death()
        heard.wait(timeout=1)
        time.sleep(0.1)
    return told


@pytest.mark.parametrize("kind", ["gcs_server", "raylet"])
def test_a_process_that_dies_is_told_once(node: Node, kind: str) -> None:
    assert told_after(node.processes[kind].kill) == [f"Ray's {kind} on this machine"]


def test_a_head_that_no_longer_answers_is_told(node: Node, head: socket.socket) -> None:
    assert told_after(head.close) == [f"Ray's head at {node.gcs_address}"]


def test_what_a_sweep_can_do_without_may_die(node: Node) -> None:
    assert told_after(node.processes["log_monitor"].kill) == []


def test_after_the_body_nothing_is_told(node: Node) -> None:
    told: list[str] = []
    with watched_cluster(told.append):
        pass
    node.processes["raylet"].kill()
    time.sleep(0.2)
    assert told == []


def test_without_a_connection_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray._private.worker, "_global_node", None)
    monkeypatch.setattr(cluster_watch, "LOOK_S", 0.01)
    assert told_after(lambda: None) == []
