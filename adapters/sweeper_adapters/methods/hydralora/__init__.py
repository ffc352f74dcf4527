"""HydraLoRA."""

from __future__ import annotations

from sweeper_adapters.methods.hydralora.spec import HydraLoraSpec

__all__ = ["HydraLoraSpec"]
