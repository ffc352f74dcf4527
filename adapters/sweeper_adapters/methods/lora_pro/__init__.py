"""LoRA-Pro."""

from __future__ import annotations

from sweeper_adapters.methods.lora_pro.spec import LoraProSpec

__all__ = ["LoraProSpec"]
