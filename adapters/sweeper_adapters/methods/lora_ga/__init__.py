"""LoRA-GA."""

from __future__ import annotations

from sweeper_adapters.methods.lora_ga.spec import LoraGaSpec

__all__ = ["LoraGaSpec"]
