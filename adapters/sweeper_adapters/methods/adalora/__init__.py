"""AdaLoRA."""

from __future__ import annotations

from sweeper_adapters.methods.adalora.spec import AdaloraSpec

__all__ = ["AdaloraSpec"]
