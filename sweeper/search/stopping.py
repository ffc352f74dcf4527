"""Which trial stops early: at a rung of successive halving, or each at the same evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from sweeper.experiment.sweep import AshaSpec

__all__ = ["Rungs", "Share", "Stopping"]


class Stopping(Protocol):
    """Decides which trial stops early."""

    def decide(self, trial_id: str, evaluation: int, value: float) -> bool:
        """Returns whether a trial stops after an evaluation.

        Args:
            trial_id: of the trial.
            evaluation: which one of the trial's it is, from 1.
            value: the objective at it.
        """


@dataclass(frozen=True)
class Share:
    """Stops every trial at the same evaluation: the best go on once all have come so far.

    To select by a constant number of evaluations was found to be hard to beat (arXiv:2307.15422,
    arXiv:2404.04111).
    """

    ends_at: int
    """The evaluation, from 1."""

    def decide(self, trial_id: str, evaluation: int, value: float) -> bool:
        """Returns whether it has come so far."""
        del trial_id, value
        return evaluation >= self.ends_at


@dataclass(frozen=True)
class _Rung:
    milestone: float
    """Evaluations after which a trial stands on the rung."""
    recorded: dict[str, float] = field(default_factory=dict)
    """Of each trial that came here, the value that it came with; a larger one is better."""


class Rungs:
    """What trials scored at each rung, and whether a trial that comes to one stops there.

    A trial stops where it is worse than the best 1 / ``reduction`` of those that came to the rung
    before it. Later trials are not waited for, and who has passed a rung is not asked there again.
    The decisions are those of ``AsyncHyperBandScheduler`` in Ray 2.60 with one bracket and
    ``stop_last_trials=False``, and a test holds the two together.
    """

    def __init__(
        self, asha: AshaSpec | None, *, mode: Literal["min", "max"], evaluations: int
    ) -> None:
        """Makes rungs on which nobody stands yet.

        Args:
            asha: None lets every trial run to its end, and so does a grace of a whole trial.
            mode: whether the smallest or the largest value is the best.
            evaluations: of a whole trial, at least 1.
        """
        self._sign = 1.0 if mode == "max" else -1.0
        self._filled = 0
        # From the top down: a trial is judged at the highest rung that it has reached.
        self._rungs: list[_Rung] = []
        self._cutoff_percent = 0.0
        if asha is not None and asha.grace < evaluations:
            self._cutoff_percent = (1 - 1 / asha.reduction) * 100
            count = int(np.log(evaluations / asha.grace) / np.log(asha.reduction) + 1)
            milestones = [asha.grace * asha.reduction**place for place in range(count)]
            self._rungs = [_Rung(milestone) for milestone in reversed(milestones)]

    def fill(self, past: Iterable[Sequence[float]]) -> None:
        """Puts trials on the rungs that ended before a resume.

        Later trials are then judged as if nothing had happened. These were judged before: to look
        at all who came before each of them again would take the square of their number.

        Args:
            past: for each such trial, the objective at its evaluations, in their order.
        """
        for values in past:
            self.take_up(f"past-{self._filled}", values)
            self._filled += 1

    def take_up(self, trial_id: str, values: Iterable[float]) -> None:
        """Puts a trial on the rungs that it has passed, and is not judged at again.

        Args:
            trial_id: of the trial, which a dead driver has left in training.
            values: the objective at its evaluations so far, in their order.
        """
        for evaluation, value in enumerate(values, start=1):
            rung = self._reached(trial_id, evaluation)
            if rung is not None:
                rung.recorded[trial_id] = self._sign * value

    def decide(self, trial_id: str, evaluation: int, value: float) -> bool:
        """Returns whether a trial stops after an evaluation, and notes what it scored.

        Args:
            trial_id: of the trial.
            evaluation: which one of the trial's it is, from 1.
            value: the objective at it.
        """
        reached = self._reached(trial_id, evaluation)
        if reached is None:
            return False
        score = self._sign * value
        before = list(reached.recorded.values())
        reached.recorded[trial_id] = score
        return bool(before) and score < float(np.nanpercentile(before, self._cutoff_percent))

    def _reached(self, trial_id: str, evaluation: int) -> _Rung | None:
        """Returns the rung that a trial comes to now; None where there is none, or it was there."""
        reached = next((rung for rung in self._rungs if evaluation >= rung.milestone), None)
        return None if reached is None or trial_id in reached.recorded else reached
