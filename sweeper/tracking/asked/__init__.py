"""What is asked for of a sweep: made as its folder, and read from it again."""

from __future__ import annotations

from sweeper.tracking.asked.making import new_sweep_folder, new_sweep_name
from sweeper.tracking.asked.reading import prior_of, read_sweep

__all__ = ["new_sweep_folder", "new_sweep_name", "prior_of", "read_sweep"]
