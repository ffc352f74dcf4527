"""What acts between a trial's steps or in its passes: callbacks of the user, noise in embeddings."""

from __future__ import annotations

from sweeper.training.hooks.callbacks import CALLED, Callbacks
from sweeper.training.hooks.embedding_noise import add_noise

__all__ = ["CALLED", "Callbacks", "add_noise"]
