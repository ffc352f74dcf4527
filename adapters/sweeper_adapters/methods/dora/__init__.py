"""DoRA."""

from __future__ import annotations

from sweeper_adapters.methods.dora.spec import DoraSpec

__all__ = ["DoraSpec"]
