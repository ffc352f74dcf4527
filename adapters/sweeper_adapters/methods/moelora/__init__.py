"""MoELoRA."""

from __future__ import annotations

from sweeper_adapters.methods.moelora.spec import MoeLoraSpec

__all__ = ["MoeLoraSpec"]
