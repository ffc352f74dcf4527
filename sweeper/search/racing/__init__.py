"""Whether a trial is worse than the best before it, from as few rows as that takes."""

from __future__ import annotations

from sweeper.search.racing.race import Race, Standing, pair_level
from sweeper.search.racing.rows import Block, Unit, in_blocks

__all__ = ["Block", "Race", "Standing", "Unit", "in_blocks", "pair_level"]
