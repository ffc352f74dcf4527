"""What it takes to find the smallest difference of interest, from the variance that was seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

from sweeper.analysis.statistics.primitive import Components
from sweeper.analysis.statistics.questions import Intervals
from sweeper.analysis.statistics.verdicts.conclusions import Needs

__all__ = ["needs_of"]

MOST_SEEDS, MOST_ROWS = 200.0, 10_000_000.0
_POWER = 0.8


class _Extrapolation:
    """The half-way from a contrast's variance with S seeds and n rows to that with others."""

    def __init__(
        self, components: Components, intervals: Intervals, which: NDArray[np.intp]
    ) -> None:
        """Takes apart the variance of the contrasts at some places of a family."""
        squares = intervals.weights[which] ** 2
        counts = np.array(components.seeds, dtype=np.float64)
        taking_part = squares > 0
        # Of unequal numbers of seeds the harmonic mean counts, as in the variance.
        self.seeds = taking_part.sum(axis=1) / (taking_part / counts).sum(axis=1)
        self.rows = float(components.rows)
        self.seed = squares @ components.seed_excess * self.seeds
        noise = squares @ (components.residual / (counts * self.rows))
        self.noise = noise * self.seeds * self.rows
        whole = components.row_variances(intervals.weights[which])
        self.row = np.maximum(0.0, whole - noise) * self.rows
        df, values = intervals.contrasts.df[which], intervals.critical[which]
        # The same share of alpha as the family left to this contrast.
        self.tail = stdtr(np.minimum(df, 1e9), -values)
        self.df_a_seed = df / np.maximum(self.seeds - 1.0, 1.0)

    def detectable(
        self, seeds: NDArray[np.float64], rows: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Returns what is found in four of five sweeps [m]."""
        variance = self.seed / seeds + self.row / rows + self.noise / (seeds * rows)
        # The rows' degrees of freedom are many; those of the seeds grow with their number.
        of_seeds = np.clip(self.df_a_seed * (seeds - 1.0), 1.0, 1e9)
        df = np.where(self.seed > 0, of_seeds, np.maximum(1.0, rows - 1.0))
        return np.asarray((-stdtrit(df, self.tail) + ndtri(_POWER)) * np.sqrt(variance))

    def first_seeds(self, delta: float, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the fewest seeds that find delta [m], infinite where 200 do not."""
        low, high = np.floor(self.seeds), np.full(len(self.seeds), MOST_SEEDS)
        enough = self.detectable(high, rows) <= delta
        for _ in range(8):
            middle = np.floor((low + high) / 2)
            found = self.detectable(middle, rows) <= delta
            low, high = np.where(found, low, middle + 1), np.where(found, middle, high)
        return np.where(enough, high, np.inf)

    def first_rows(self, delta: float, seeds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the fewest rows that find delta [m], infinite where ten million do not."""
        low, high = np.full(len(self.seeds), 2.0), np.full(len(self.seeds), MOST_ROWS)
        enough = self.detectable(seeds, high) <= delta
        for _ in range(24):
            middle = np.floor((low + high) / 2)
            found = self.detectable(seeds, middle) <= delta
            low, high = np.where(found, low, middle + 1), np.where(found, middle, high)
        return np.where(enough, high, np.inf)


def needs_of(
    components: Components, intervals: Intervals, which: NDArray[np.intp], delta: float
) -> list[Needs | None]:
    """Returns for some contrasts of a family what finds δ in 80 %; None where what there is does.

    More seeds where these suffice; else rows, with the seeds that there are; else rows with which
    seeds suffice, and those.

    Args:
        components: Of the table.
        intervals: Of the family.
        which: Places of the contrasts in it.
        delta: Positive.
    """
    if not which.size:
        return []
    plan = _Extrapolation(components, intervals, which)
    rows = np.full(which.size, plan.rows)
    seeds = plan.first_seeds(delta, rows)
    alone = plan.first_rows(delta, plan.seeds)
    # Twice the rows at which infinitely many seeds would do.
    doubled = 2.0 * plan.first_rows(delta, np.full(which.size, 1e9))
    both = plan.first_seeds(delta, np.where(np.isfinite(doubled), doubled, plan.rows))
    found: list[Needs | None] = []
    for i in range(which.size):
        more = _more(seeds[i], plan.seeds[i])
        if np.isfinite(seeds[i]):
            found.append(Needs(seeds=more, rows=None) if more else None)
        elif np.isfinite(alone[i]):
            found.append(Needs(seeds=None, rows=int(alone[i])))
        elif np.isfinite(both[i]):
            found.append(Needs(seeds=_more(both[i], plan.seeds[i]), rows=int(doubled[i])))
        else:
            found.append(Needs(seeds=None, rows=None))
    return found


def _more(needed: float, present: float) -> int:
    return max(0, int(np.ceil(needed - present))) if np.isfinite(needed) else 0
