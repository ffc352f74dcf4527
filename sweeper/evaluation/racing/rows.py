"""In which order the rows of an evaluation are asked, and how many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

__all__ = ["Block", "Unit", "in_blocks"]

Unit: TypeAlias = tuple[int, ...]
"""Rows that are no independent draws, such as those of a dialogue; most are a row by itself."""
Block: TypeAlias = tuple[Unit, ...]
"""Units that are asked at once."""

# Rows asked by then, over those asked a block before. A smaller one stops trials a little earlier,
# and leaves more batches that are not full.
GROWTH = 1.5


def in_blocks(
    rows: Sequence[int], clusters: Sequence[int] | None, *, first: int, seed: Sequence[int]
) -> tuple[Block, ...]:
    """Returns rows in a random order, the same for the same seed, in blocks that grow.

    The order is of units: what is drawn without replacement must not depend on each other.

    Args:
        rows: of the evaluation, from 0, those that have a loss.
        clusters: of each row of the evaluation, the number of its unit; None where each row is one.
        first: rows of the first block, at least 1; a unit is never cut.
        seed: whole numbers, at least 0.

    Returns:
        Blocks that have all rows, each once. Up to the end of each the rows are at least 1.5 times
        those up to the end of the one before, or all.
    """
    members: dict[int, list[int]] = {}
    for row in rows:
        members.setdefault(row if clusters is None else clusters[row], []).append(row)
    units = [tuple(found) for found in members.values()]
    order = np.random.default_rng(list(seed)).permutation(len(units))
    blocks: list[Block] = []
    block: list[Unit] = []
    asked, goal = 0, float(first)
    for place in order.tolist():
        block.append(units[place])
        asked += len(units[place])
        # A last block that is smaller than the first would save next to nothing.
        if asked >= goal and len(rows) - asked >= first:
            blocks.append(tuple(block))
            block, goal = [], asked * GROWTH
    return (*blocks, tuple(block)) if block else tuple(blocks)
