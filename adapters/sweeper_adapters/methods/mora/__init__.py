"""MoRA."""

from __future__ import annotations

from sweeper_adapters.methods.mora.spec import MoraSpec

__all__ = ["MoraSpec"]
