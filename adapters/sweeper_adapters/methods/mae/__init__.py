"""MAE."""

from __future__ import annotations

from sweeper_adapters.methods.mae.spec import MaeSpec

__all__ = ["MaeSpec"]
