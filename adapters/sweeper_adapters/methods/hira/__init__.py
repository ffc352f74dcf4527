"""HiRA."""

from __future__ import annotations

from sweeper_adapters.methods.hira.spec import HiraSpec

__all__ = ["HiraSpec"]
