"""Prompt Tuning."""

from __future__ import annotations

from sweeper_adapters.methods.prompt_tuning.spec import PromptTuningSpec

__all__ = ["PromptTuningSpec"]
