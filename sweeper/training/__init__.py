"""One trial's steps: its adapter, the engine, its checkpoints, its file."""

from __future__ import annotations

from sweeper.training.adapter_file import adapter_bytes, adapter_elements
from sweeper.training.schedule import evaluation_steps
from sweeper.training.trainer import TrialReporter
from sweeper.training.trial import TrialOutcome, train

__all__ = [
    "TrialOutcome",
    "TrialReporter",
    "adapter_bytes",
    "adapter_elements",
    "evaluation_steps",
    "train",
]
