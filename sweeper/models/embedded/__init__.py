"""The model and the data that come with the sweeper, and the scripts that make both."""

from __future__ import annotations

from pathlib import Path

__all__ = ["MODEL_FOLDER"]

MODEL_FOLDER = Path(__file__).parent / "model"
"""Where the pretrained model is: config, tokenizer, weights in float16."""
