"""What it takes to find the smallest difference of interest, from the variance that was seen."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

from sweeper.analysis.statistics.planning import MOST_ROWS, MOST_SEEDS
from sweeper.analysis.statistics.primitive import Components
from sweeper.analysis.statistics.questions import Intervals
from sweeper.analysis.statistics.verdicts.conclusions import Needs

__all__ = ["needs_of"]

_POWER = 0.8
# Of the logarithm of ten million: to a thousandth.
_HALVINGS = 14


class _Extrapolation:
    """The variance of contrasts with other numbers of seeds and rows than there are."""

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
        self.unseen = squares @ components.unseen
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
        variance = self.unseen + self.seed / seeds + self.row / rows + self.noise / (seeds * rows)
        # The rows' degrees of freedom are many; those of the seeds grow with their number.
        of_seeds = np.clip(self.df_a_seed * (seeds - 1.0), 1.0, 1e9)
        df = np.where(self.seed > 0, of_seeds, np.maximum(1.0, rows - 1.0))
        return np.asarray((-stdtrit(df, self.tail) + ndtri(_POWER)) * np.sqrt(variance))

    def first_seeds(self, delta: float, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the fewest seeds that find delta [m], infinite where 200 do not."""
        low, high = np.floor(self.seeds), np.full(len(self.seeds), float(MOST_SEEDS))
        enough = self.detectable(high, rows) <= delta
        for _ in range(8):
            middle = np.floor((low + high) / 2)
            found = self.detectable(middle, rows) <= delta
            low, high = np.where(found, low, middle + 1), np.where(found, middle, high)
        return np.where(enough, high, np.inf)

    def first_rows(self, delta: float) -> NDArray[np.float64]:
        """Returns the fewest rows that find delta with the seeds there are [m].

        Infinite where ten million do not, and else to a thousandth.
        """
        low, high = np.zeros(len(self.seeds)), np.full(len(self.seeds), np.log(MOST_ROWS))
        enough = self.detectable(self.seeds, np.exp(high)) <= delta
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            found = self.detectable(self.seeds, np.exp(middle)) <= delta
            low, high = np.where(found, low, middle), np.where(found, middle, high)
        return np.where(enough, np.ceil(np.exp(high)), np.inf)

    def floor_rows(self, delta: float) -> NDArray[np.float64]:
        """Returns the rows with which infinitely many seeds would find delta [m].

        Infinite where what neither lessens is too much already.
        """
        left = (delta / (ndtri(_POWER) - ndtri(self.tail))) ** 2 - self.unseen
        found = np.divide(self.row, left, out=np.full_like(left, np.inf), where=left > 0)
        return np.asarray(found, dtype=np.float64)


def needs_of(
    components: Components, intervals: Intervals, which: NDArray[np.intp], delta: float
) -> list[Needs | None]:
    """Returns for some contrasts of a family what finds δ in 80 %; None where what there is does.

    More seeds where these suffice; else rows, with the seeds that there are; else rows with which
    seeds suffice, and those. Of peaks what lies between two rates is left by all of them.

    Args:
        components: Of the table.
        intervals: Of the family.
        which: Places of the contrasts in it.
        delta: Positive.
    """
    if not which.size:
        return []
    plan = _Extrapolation(components, intervals, which)
    seeds = plan.first_seeds(delta, np.full(which.size, plan.rows))
    if np.isfinite(seeds).all():
        return [_more_seeds(one, there) for one, there in zip(seeds, plan.seeds, strict=True)]
    rows = plan.first_rows(delta)
    # Twice the rows at which infinitely many seeds would do.
    floor = plan.floor_rows(delta)
    doubled = np.maximum(plan.rows, 2.0 * floor)
    both = plan.first_seeds(delta, np.minimum(doubled, MOST_ROWS))
    found: list[Needs | None] = []
    for i, there in enumerate(plan.seeds):
        if np.isfinite(seeds[i]):
            found.append(_more_seeds(seeds[i], there))
        elif np.isfinite(rows[i]):
            found.append(Needs(seeds=None, rows=int(rows[i])))
        elif np.isfinite(both[i]) and doubled[i] <= MOST_ROWS:
            found.append(Needs(seeds=math.ceil(both[i] - there), rows=math.ceil(doubled[i])))
        else:
            found.append(Needs(seeds=None, rows=None, closer_rates=bool(np.isinf(floor[i]))))
    return found


def _more_seeds(needed: float, there: float) -> Needs | None:
    more = math.ceil(needed - there)
    return Needs(seeds=more, rows=None) if more > 0 else None
