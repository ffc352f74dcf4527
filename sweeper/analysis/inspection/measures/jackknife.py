"""The delete-one jackknife: the error of any function of independent blocks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sweeper.estimates import Estimate

__all__ = ["jackknife"]


def jackknife(
    blocks: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], float]
) -> Estimate:
    """Returns a function of a mean over blocks with its standard error.

    With θ_(−b) from all blocks but b, se² = (n − 1) / n Σ_b (θ_(−b) − mean θ_(−b))² (Efron and
    Tibshirani 1993, Eq. 11.5).

    Args:
        blocks: float64 [n, ...]: what each block contributes to the mean; the blocks are
            independent.
        statistic: takes the mean over blocks, [...], and returns θ.
    """
    count = len(blocks)
    total = blocks.sum(axis=0)
    value = statistic(total / count)
    if count < 2:
        return Estimate(value, None, count)
    without = np.array([statistic((total - block) / (count - 1)) for block in blocks])
    spread = float(((without - without.mean()) ** 2).sum())
    return Estimate(value, math.sqrt((count - 1) / count * spread), count)
