"""MASA."""

from __future__ import annotations

from sweeper_adapters.methods.masa.spec import MasaSpec

__all__ = ["MasaSpec"]
