"""VB-LoRA."""

from __future__ import annotations

from sweeper_adapters.methods.vblora.spec import VbloraSpec

__all__ = ["VbloraSpec"]
