"""By how much the score that a choice was made by flatters what was chosen."""

from __future__ import annotations

import math

import numpy as np

from sweeper.analysis.statistics.table import ScoreTable
from sweeper.analysis.statistics.units import row_units

__all__ = ["HALVES", "optimism"]

HALVES = 200
_SEED = 20_240_918


def optimism(table: ScoreTable, *, halves: int = HALVES) -> float:
    """Returns the expected excess of the best configuration's score over its score on new rows.

    The rows are halved many times; on one half the best is chosen, on the other it is scored, both
    ways (the split of Tsamardinos 2018, section 3). A half has √2 times the error of all rows, so
    the mean excess is divided by √2. It covers the choice of rows, not the luck of seeds.

    Args:
        table: Of validation scores; of several seeds the mean counts.
        halves: How often, at least 1.

    Raises:
        BadInputError: The table is not one of comparable scores.
    """
    profiles = np.stack([scores.mean(axis=0) for scores in row_units(table).scores])
    n = profiles.shape[1]
    order = np.random.default_rng(_SEED).random((halves, n)).argsort(axis=1)
    chosen = np.zeros((halves, n))
    np.put_along_axis(chosen, order[:, : n // 2], 1.0, axis=1)
    # [halves, k] each: means of the two halves of the rows.
    first = chosen @ profiles.T / (n // 2)
    second = (1.0 - chosen) @ profiles.T / (n - n // 2)
    rows = np.arange(halves)
    excess = 0.0
    for one, other in ((first, second), (second, first)):
        best = one.argmax(axis=1)
        excess += float((one[rows, best] - other[rows, best]).mean())
    return max(0.0, excess / 2 / math.sqrt(2))
