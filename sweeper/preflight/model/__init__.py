"""Whether a sweep's model fits: this machine's memory, and the data."""

from __future__ import annotations

from sweeper.preflight.model.fitting import inspect_model_of, require_fitting_data
from sweeper.preflight.model.memory import Memory, memory_of, memory_there, require_memory

__all__ = [
    "Memory",
    "inspect_model_of",
    "memory_of",
    "memory_there",
    "require_fitting_data",
    "require_memory",
]
