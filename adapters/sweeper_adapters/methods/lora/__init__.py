"""LoRA."""

from __future__ import annotations

from sweeper_adapters.methods.lora.spec import LoraSpec

__all__ = ["LoraSpec"]
