"""The commands: one module for those of a kind, each function a command with its options."""

from __future__ import annotations

from sweeper.cli.commands import (
    chat,
    designs,
    init,
    launch,
    owner,
    preflight,
    results,
    sweep,
    trial,
)

__all__ = ["chat", "designs", "init", "launch", "owner", "preflight", "results", "sweep", "trial"]
