"""A trial against the best before it at the same evaluation, row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweeper.evaluation.racing.confidence import log_capital, lower_bound
from sweeper.evaluation.racing.rows import Block

__all__ = ["Race", "Standing", "pair_level"]

_Floats: TypeAlias = NDArray[np.float64]

# Units of which the bound is made, and on which there is no bet: with fewer it would often be far
# from what the others need, and with more a trial that is far behind is stopped later.
SCALE_UNITS = 16
# A difference counts as at most this many times the mean absolute difference of those units: 2.4
# standard deviations of a normal one. A smaller bound finds what is worse with fewer rows, and says
# less of the mean.
BOUND = 3.0
# Standard errors that the plain mean must be above 0 besides.
GUARD = 2.0


def pair_level(alpha: float, *, trials: int, evaluations: int) -> float:
    """Returns the level of one comparison of two trials at one evaluation.

    The best of the trials before was chosen on the rows on which it is compared. Had it been chosen
    by chance, a level each trial would do; as it is, each pair of trials has one of its own, so
    that whichever is chosen the level holds.

    Args:
        alpha: of all comparisons of a sweep together.
        trials: of the sweep, at least 1.
        evaluations: of a trial at which it may be stopped, at least 1.
    """
    return alpha / (evaluations * max(1, trials * (trials - 1)))


@dataclass(frozen=True)
class Standing:
    """How a trial stands in a race, after some rows."""

    rows: int
    """Rows that were asked."""
    rows_in_all: int
    """Rows of a whole evaluation that have a loss."""
    difference: float
    """Mean of its loss less that of the best before it, on these rows; each unit counts with its
    rows."""
    is_worse: bool
    """Whether that it is worse is certain enough."""


@dataclass(frozen=True, eq=False)
class Race:
    """A trial against another one that has been evaluated on all rows.

    What is compared are differences of the losses of a row, cut to ± a bound. Losses have none, so
    the bound is made of the first 16 units: three times their mean absolute difference. No bet is
    placed on these. The trial counts as worse where the capital of
    :func:`~sweeper.evaluation.racing.confidence.log_capital` has reached 1 / ``level`` and the
    plain mean is two standard errors above 0.

    The level holds where the two trials are equal: on each row each of them is as likely to be
    ahead by so much. There any bound does, and nothing is assumed of the size of a loss. It holds,
    too, where the mean of the *cut* differences is at most 0, over the rows of the split or over
    rows that such rows are drawn from. It does not follow for a trial that owes its better mean to
    rare rows on which it is better by more than the bound; the plain mean stands guard where such
    rows have been asked.
    """

    incumbent: str
    """Identity of the other trial."""
    losses: Mapping[int, float]
    """What the other one lost on each row of the blocks, in nats per token."""
    blocks: tuple[Block, ...]
    """All rows that have a loss, in the order in which they are asked."""
    level: float
    """Of this comparison; see :func:`pair_level`."""

    def rows(self) -> tuple[tuple[int, ...], ...]:
        """Returns the rows of each block."""
        return tuple(tuple(chain.from_iterable(block)) for block in self.blocks)

    def stand(self, losses: Mapping[int, float]) -> Standing:
        """Returns how a trial stands.

        Args:
            losses: of the rows that were asked, at least one; those of whole blocks, from the
                first on.

        Raises:
            ValueError: a loss is infinite or not a number.
        """
        if not all(map(math.isfinite, losses.values())):
            raise ValueError("a loss that is not finite can be compared with none")
        values, rows = self._values(losses)
        return Standing(
            rows=rows,
            rows_in_all=sum(len(unit) for block in self.blocks for unit in block),
            difference=float(values.mean()),
            is_worse=self._is_worse(values),
        )

    def at_least(self, losses: Mapping[int, float]) -> float:
        """Returns by how much the trial is worse at the least, of differences cut to the bound.

        Args:
            losses: after which the trial is worse for certain, as :meth:`stand` takes them.
        """
        values, _ = self._values(losses)
        cut, bound = _cut(values)
        return lower_bound(
            cut, level=self.level, bound=bound, population=self._units, seen=SCALE_UNITS
        )

    @property
    def _units(self) -> int:
        return sum(map(len, self.blocks))

    def _values(self, losses: Mapping[int, float]) -> tuple[_Floats, int]:
        """Returns the difference of each unit that was asked, [units], and the number of rows."""
        units = list(chain.from_iterable(self.blocks))
        asked = [unit for unit in units if unit[0] in losses]
        sums = [sum(losses[row] - self.losses[row] for row in unit) for unit in asked]
        # The mean over units is then the mean over rows, whatever the sizes of the units.
        weight = len(units) / sum(map(len, units))
        return weight * np.array(sums), sum(map(len, asked))

    def _is_worse(self, values: _Floats) -> bool:
        if len(values) <= SCALE_UNITS or not _is_above(values):
            return False
        cut, bound = _cut(values)
        if bound == 0:
            # Up to there the two are the same.
            return False
        capital = log_capital(cut, mean=0.0, bound=bound, population=self._units, seen=SCALE_UNITS)
        return float(capital.max()) >= -math.log(self.level)


def _cut(values: _Floats) -> tuple[_Floats, float]:
    """Returns differences cut to ± a bound, and the bound."""
    bound = BOUND * float(np.abs(values[:SCALE_UNITS]).mean())
    return np.clip(values, -bound, bound), bound


def _is_above(values: _Floats) -> bool:
    """Returns whether the plain mean is more than two standard errors above 0."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) > GUARD * error
