"""P-Tuning."""

from __future__ import annotations

from sweeper_adapters.methods.p_tuning.spec import PTuningSpec

__all__ = ["PTuningSpec"]
