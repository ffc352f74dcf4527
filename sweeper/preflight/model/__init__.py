"""Whether a sweep's model fits: this machine's memory, and the data."""

from __future__ import annotations

from sweeper.preflight.model.fitting import require_fitting_model
from sweeper.preflight.model.memory import Memory, memory_of, require_memory

__all__ = ["Memory", "memory_of", "require_fitting_model", "require_memory"]
