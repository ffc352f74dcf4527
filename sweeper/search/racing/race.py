"""A trial against the best before it at the same evaluation, row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweeper.search.racing.confidence import log_capital, lower_bound
from sweeper.search.racing.rows import Block

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
    at_least: float | None = None
    """By how much it is worse at the least, of differences cut to the bound; None where it is not
    certain that it is worse."""


@dataclass(frozen=True, eq=False)
class Race:
    """A trial against another one that has been evaluated on all rows.

    What is compared are differences of the losses of a row, cut to ± a bound. Losses have none, so
    the bound is made of the first 16 units: three times their mean absolute difference. No bet is
    placed on these. That the trial is worse is said where the capital of
    :func:`~sweeper.search.racing.confidence.log_capital` has reached 1 / ``level`` and the plain
    mean is two standard errors above 0.

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
        units = list(chain.from_iterable(self.blocks))
        rows_in_all = sum(map(len, units))
        # The mean over units is then the mean over rows, whatever the sizes of the units.
        weight = len(units) / rows_in_all
        asked = [unit for unit in units if unit[0] in losses]
        values = weight * np.array([self._difference(unit, losses) for unit in asked])
        is_worse, at_least = self._judge(values, population=len(units))
        return Standing(
            rows=sum(map(len, asked)),
            rows_in_all=rows_in_all,
            difference=float(values.mean()),
            is_worse=is_worse,
            at_least=at_least,
        )

    def _difference(self, unit: Sequence[int], losses: Mapping[int, float]) -> float:
        return sum(losses[row] - self.losses[row] for row in unit)

    def _judge(self, values: _Floats, *, population: int) -> tuple[bool, float | None]:
        """Returns whether the trial is worse for certain, and then by how much at the least."""
        bound = BOUND * float(np.abs(values[:SCALE_UNITS]).mean())
        if len(values) <= SCALE_UNITS or bound <= 0 or not _is_above(values):
            return False, None
        cut = np.clip(values, -bound, bound)
        found = log_capital(cut, mean=0.0, bound=bound, population=population, seen=SCALE_UNITS)
        if float(found.max()) < -math.log(self.level):
            return False, None
        return True, lower_bound(
            cut, level=self.level, bound=bound, population=population, seen=SCALE_UNITS
        )


def _is_above(values: _Floats) -> bool:
    """Returns whether the plain mean is more than two standard errors above 0."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) > GUARD * error
