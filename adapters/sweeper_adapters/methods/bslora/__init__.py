"""BSLoRA."""

from __future__ import annotations

from sweeper_adapters.methods.bslora.spec import BsloraSpec

__all__ = ["BsloraSpec"]
