"""MoSA."""

from __future__ import annotations

from sweeper_adapters.methods.mosa.spec import MosaSpec

__all__ = ["MosaSpec"]
