"""PiSSA."""

from __future__ import annotations

from sweeper_adapters.methods.pissa.spec import PissaSpec

__all__ = ["PissaSpec"]
