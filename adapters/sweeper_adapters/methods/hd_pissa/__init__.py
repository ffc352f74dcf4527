"""HD-PiSSA."""

from __future__ import annotations

from sweeper_adapters.methods.hd_pissa.spec import HdPissaSpec

__all__ = ["HdPissaSpec"]
