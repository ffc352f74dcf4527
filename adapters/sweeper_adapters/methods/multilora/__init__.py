"""MultiLoRA."""

from __future__ import annotations

from sweeper_adapters.methods.multilora.spec import MultiLoraSpec

__all__ = ["MultiLoraSpec"]
