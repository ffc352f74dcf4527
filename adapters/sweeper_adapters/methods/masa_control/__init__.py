"""MASA's control arm."""

from __future__ import annotations

from sweeper_adapters.methods.masa_control.spec import MasaControlSpec

__all__ = ["MasaControlSpec"]
