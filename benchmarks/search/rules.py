"""What becomes of a trial after an evaluation: it goes on, stops, pauses or is taken as it is.

A rule is told what every row lost, not the mean alone: one that races trials row by row has its
place here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sweeper.experiment.sweep import AshaSpec
from sweeper.search import Rungs

__all__ = ["Action", "Asha", "Constant", "MakeRule", "Promotion", "Rule", "Whole"]

Action = Literal["on", "stop", "pause", "enough"]
"""``stop``: for good, and the sampler is told that it was not whole; ``pause``: its checkpoint is
kept and it may go on later; ``enough``: the sampler takes its value for that of a whole trial."""


class Rule(Protocol):
    """Decides on the trials of one search; evaluations are counted from 1."""

    judged_at: int
    """Evaluation at which trials are compared."""
    finalists: int
    """So many of the best there are trained to their end, if that is not the last evaluation; the
    best one at the end is chosen."""
    lost: dict[int, int]
    """Of trials that were stopped because one other was better, the number of that one."""

    def after(
        self, trial: int, *, evaluation: int, value: float, rows: NDArray[np.float64]
    ) -> Action:
        """Returns what becomes of a trial after an evaluation that is not its last; notes the last.

        Args:
            trial: its number.
            evaluation: which one of the trial's it is.
            value: the mean loss; lower is better.
            rows: float64 [V], what each validation row lost.
        """

    def resumed(self) -> int | None:
        """Returns the paused trial that goes on now; None where a new one is to be begun."""


MakeRule = Callable[[int], Rule]
"""Makes the rule of one search, of trials with so many evaluations."""


@dataclass
class Whole:
    """Every trial runs to its end."""

    judged_at: int
    finalists: int = 1
    lost: dict[int, int] = field(default_factory=dict)
    """Of trials that were stopped because one other was better, the number of that one."""

    def after(
        self, trial: int, *, evaluation: int, value: float, rows: NDArray[np.float64]
    ) -> Action:
        """Returns that it goes on."""
        del trial, evaluation, value, rows
        return "on"

    def resumed(self) -> int | None:
        """Returns None: nothing is paused."""
        return None


class Asha(Whole):
    """The sweep's own early stopping: what is behind on a rung ends there."""

    def __init__(self, asha: AshaSpec, *, evaluations: int) -> None:
        super().__init__(evaluations)
        self._rungs = Rungs(asha, mode="min", evaluations=evaluations)

    def after(
        self, trial: int, *, evaluation: int, value: float, rows: NDArray[np.float64]
    ) -> Action:
        """Returns what the sweep's rungs decide."""
        del rows
        return "stop" if self._rungs.decide(str(trial), evaluation, value) else "on"


class Constant(Whole):
    """Every trial ends after the same number of evaluations, and the best ones are kept.

    Successive halving was found to add little to it (arXiv:2307.15422, arXiv:2404.04111).
    """

    def after(
        self, trial: int, *, evaluation: int, value: float, rows: NDArray[np.float64]
    ) -> Action:
        """Returns that it is enough at that number."""
        del trial, value, rows
        return "enough" if evaluation == self.judged_at else "on"


@dataclass
class _Rung:
    milestone: int
    """Evaluations after which a trial stands on it."""
    values: dict[int, float] = field(default_factory=dict)
    promoted: set[int] = field(default_factory=set)


class Promotion:
    """Asynchronous successive halving that pauses and promotes (arXiv:1810.05934, algorithm 2).

    A trial pauses on every rung. It goes on when it is among the best 1 / ``reduction`` of those
    that have come to the rung, the highest rung first. Nothing is thrown away: what was paused goes
    on from its checkpoint.
    """

    def __init__(self, asha: AshaSpec, *, evaluations: int) -> None:
        self.judged_at, self.finalists = evaluations, 1
        self.lost: dict[int, int] = {}
        self._reduction = asha.reduction
        milestones = []
        milestone = float(asha.grace)
        while milestone < evaluations:
            milestones.append(int(np.ceil(milestone)))
            milestone *= asha.reduction
        # From the top down. With a reduction below 2 two milestones may be one.
        self._rungs = [_Rung(one) for one in sorted(set(milestones), reverse=True)]

    def after(
        self, trial: int, *, evaluation: int, value: float, rows: NDArray[np.float64]
    ) -> Action:
        """Returns that it pauses on a rung."""
        del rows
        rung = next((rung for rung in self._rungs if rung.milestone == evaluation), None)
        if rung is None:
            return "on"
        rung.values[trial] = value
        return "pause"

    def resumed(self) -> int | None:
        """Returns the best trial that may be promoted, and notes that it is."""
        for rung in self._rungs:
            best = sorted(rung.values, key=lambda trial: rung.values[trial])
            few = best[: int(len(best) / self._reduction)]
            waiting = [trial for trial in few if trial not in rung.promoted]
            if waiting:
                rung.promoted.add(waiting[0])
                return waiting[0]
        return None
