"""The races of one trial: whom it is compared with at an evaluation, and on which rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.data.row_order import RowOrder
from sweeper.evaluation.racing.race import Race
from sweeper.evaluation.racing.rows import in_blocks
from sweeper.tracking.racing import Incumbents
from sweeper.tracking.row_scores import RowScores

__all__ = ["Contest", "RaceTerms"]


@dataclass(frozen=True)
class RaceTerms:
    """How the trials of a sweep race, the same for all of them."""

    level: float
    """Of one comparison of two trials at one evaluation, above 0 and below 1; see
    :func:`~sweeper.evaluation.racing.race.pair_level`."""
    first_rows: int
    """Rows of the first block, at least 1."""
    seed: int
    """Of the order of the rows, at least 0."""
    grace: int
    """First evaluation at which a trial may be stopped, from 1."""


@dataclass(frozen=True)
class Contest:
    """The races of a trial with the others of its sweep; what they hang on is on disk."""

    incumbents: Incumbents
    """Of the sweep."""
    trial_id: str
    """Identity of the trial."""
    terms: RaceTerms
    """Of the sweep."""

    def race(self, evaluation: int, order: RowOrder, rows: Sequence[int]) -> Race | None:
        """Returns the race of an evaluation; None where all rows are asked without one.

        That is so before the grace is over, and where no other trial was there before. Reads files:
        one worker calls it.

        Args:
            evaluation: which one of the trial's it is, from 1.
            order: of all rows of the evaluation.
            rows: those that have a loss, from 0.
        """
        if evaluation < self.terms.grace:
            return None
        best = self.incumbents.best(evaluation, fingerprint=order.fingerprint, but=self.trial_id)
        if best is None or not set(rows) <= best.losses.keys():
            return None
        blocks = in_blocks(
            rows,
            order.clusters,
            first=self.terms.first_rows,
            seed=(self.terms.seed, int(order.fingerprint, 16)),
        )
        return Race(best.trial_id, best.losses, blocks, self.terms.level)

    def finish(self, evaluation: int, scores: RowScores) -> None:
        """Notes that the trial was evaluated on all rows; one worker calls it.

        Args:
            evaluation: which one of the trial's it is, from 1.
            scores: with what it lost on each row.
        """
        self.incumbents.add(evaluation, self.trial_id, scores)
