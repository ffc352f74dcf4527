"""Ends a driver whose cluster has died under it: Ray itself waits a minute, or for ever."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ray

__all__ = ["watched_cluster"]

# Seconds between two looks, and looks in a row that must find the cluster dead.
LOOK_S = 3.0
LOOKS = 3
CONNECT_S = 2.0


@contextmanager
def watched_cluster(on_loss: Callable[[str], None]) -> Iterator[None]:
    """Watches the cluster that this process is connected to while the body runs.

    Args:
        on_loss: called once, from another thread, with what has died.
    """
    over = threading.Event()

    def watch() -> None:
        deaths = 0
        while not over.wait(LOOK_S):
            dead = _dead_part()
            deaths = deaths + 1 if dead else 0
            if deaths >= LOOKS and not over.is_set():
                on_loss(dead)
                return

    threading.Thread(target=watch, name="cluster-watch", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _dead_part() -> str:
    """Returns which part of Ray has died, in words; empty while all live."""
    # Ray has no public way to ask this without a call that hangs where the answer is yes.
    node = ray._private.worker._global_node
    if node is None:
        return ""
    for kind, _ in node.dead_processes():
        if kind in {"gcs_server", "raylet"}:
            return f"Ray's {kind} on this machine"
    host, _, port = str(node.gcs_address).rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except OSError:
        return f"Ray's head at {node.gcs_address}"
    return ""
