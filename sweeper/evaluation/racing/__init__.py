"""Whether a trial is worse than the best before it, from as few rows as that takes."""

from __future__ import annotations

from sweeper.evaluation.racing.contest import Contest, RaceTerms
from sweeper.evaluation.racing.race import Race, Standing, pair_level
from sweeper.evaluation.racing.rows import Block, Unit, in_blocks

__all__ = ["Block", "Contest", "Race", "RaceTerms", "Standing", "Unit", "in_blocks", "pair_level"]
