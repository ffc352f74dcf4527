"""What is done with the trials of a search that has ended: the best trained on, and evaluated."""

from __future__ import annotations

from sweeper.execution.after.adapters import save_adapters, unsaved_jobs
from sweeper.execution.after.final_jobs import (
    clone_final_jobs,
    final_jobs,
    final_progress,
    run_final_jobs,
)
from sweeper.execution.after.finalists import Finalists
from sweeper.execution.after.trainings import run_trainings

__all__ = [
    "Finalists",
    "clone_final_jobs",
    "final_jobs",
    "final_progress",
    "run_final_jobs",
    "run_trainings",
    "save_adapters",
    "unsaved_jobs",
]
