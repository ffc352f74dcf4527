"""lm-evaluation-harness, as a second opinion on an adapter."""

from __future__ import annotations

from sweeper.evaluation.harness.run import find_harness_tasks, run_harness

__all__ = ["find_harness_tasks", "run_harness"]
