"""The embedded language: its words, its skills, and the texts and instructions made of them."""

from __future__ import annotations

from sweeper.data.embedded.corpus import documents
from sweeper.data.embedded.instructions import generate, split_of

__all__ = ["documents", "generate", "split_of"]
