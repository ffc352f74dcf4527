"""Trials that race on the rows that they share, by the sweep's own decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.rules import Action, Whole
from sweeper.evaluation.racing import Block, Race, in_blocks, pair_level
from sweeper.experiment.sweep import RacingSpec

__all__ = ["RACING_TRIALS", "Racing"]

RACING_TRIALS = 40
"""Trials among whose pairs the level is spent: twice as many as would be trained to their end."""


@dataclass(frozen=True)
class _Best:
    """The best trial at an evaluation so far."""

    value: float
    trial: int
    losses: dict[int, float]


class Racing(Whole):
    """A trial ends once it is worse for certain than the best before it at the same evaluation."""

    def __init__(self, spec: RacingSpec, *, evaluations: int) -> None:
        """Begins without trials.

        Args:
            spec: of the races.
            evaluations: of a trial.
        """
        super().__init__(evaluations)
        self._spec = spec
        self._level = pair_level(
            spec.alpha, trials=RACING_TRIALS, evaluations=max(1, evaluations - spec.grace + 1)
        )
        self._best: dict[int, _Best] = {}
        self._blocks: tuple[Block, ...] = ()

    def after(
        self, trial: int, *, evaluation: int, value: float, rows: NDArray[np.float64]
    ) -> Action:
        """Returns that it stops where its race is lost; else it is compared with the later ones."""
        best = self._best.get(evaluation)
        losses = dict(enumerate(rows.tolist()))
        if best is not None and evaluation >= self._spec.grace and self._is_lost(best, losses):
            self.lost[trial] = best.trial
            return "stop"
        if best is None or value < best.value:
            self._best[evaluation] = _Best(value, trial, losses)
        return "on"

    def _is_lost(self, best: _Best, losses: dict[int, float]) -> bool:
        if not self._blocks:
            rows = range(len(losses))
            self._blocks = in_blocks(rows, None, first=self._spec.rows, seed=(0,))
        race = Race(str(best.trial), best.losses, self._blocks, self._level)
        asked: dict[int, float] = {}
        for block in race.rows():
            asked |= {row: losses[row] for row in block}
            if race.stand(asked).is_worse:
                return True
        return False
