"""The papers' tasks: a new one is a file here and a line in ``registry.py``."""

from __future__ import annotations

from sweeper.data.tasks.registry import MIXTURES, TASKS, expand, find_task, unknown_task

__all__ = ["MIXTURES", "TASKS", "expand", "find_task", "unknown_task"]
