"""LoRAMoE."""

from __future__ import annotations

from sweeper_adapters.methods.loramoe.spec import LoraMoeSpec

__all__ = ["LoraMoeSpec"]
