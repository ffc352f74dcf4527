"""What acts between a trial's steps or in its passes: a user's callbacks, noise in embeddings."""

from __future__ import annotations

from sweeper.training.hooks.callbacks import CALLED, Callbacks
from sweeper.training.hooks.embedding_noise import add_noise

__all__ = ["CALLED", "Callbacks", "add_noise"]
