"""MTL-LoRA."""

from __future__ import annotations

from sweeper_adapters.methods.mtl_lora.spec import MtlLoraSpec

__all__ = ["MtlLoraSpec"]
