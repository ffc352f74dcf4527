"""Whether a trial may begin in the time that a sweep has left: decisions, in and out as numbers."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, median_low, stdev

__all__ = ["CAUTION", "TimeKeeper", "TrialTimes", "may_begin"]

CAUTION = 0.95
"""Probability with which a trial takes no longer than the bound that it is admitted by, were the
ratios of measured to forecast times normal."""
# Trials that have to have ended before their spread says anything; until then the largest ratio
# seen is widened by a share.
_FEWEST = 4
_WIDENED = 1.3
# One that took so many times as long as is usual was held up by its machine: it says nothing of the
# next one. What is usual is the median of the forecast and the trials, so that of a wrong forecast
# two trials tell.
_HELD_UP = 4.0


class TrialTimes:
    """How long trials take: what was forecast, corrected by those that have ended.

    Trials differ in length, and a forecast knows that; what it is wrong by is taken to be a factor
    that they have in common, with a spread.
    """

    def __init__(self, *, doubt: float) -> None:
        """Begins with the forecast alone.

        Args:
            doubt: factor, 1 or more, by which a trial may take longer than forecast.
        """
        self._doubt = max(1.0, doubt)
        self._ratios: list[float] = []

    def take(self, *, forecast_s: float, measured_s: float) -> None:
        """Takes a trial that has ended.

        Args:
            forecast_s: seconds that were forecast for what it did, above 0.
            measured_s: seconds that it took.
        """
        if forecast_s > 0 and math.isfinite(measured_s):
            self._ratios.append(measured_s / forecast_s)

    @property
    def likely(self) -> float:
        """Factor by which trials take longer than forecast, on average."""
        ratios = self._usual
        return fmean(ratios) if ratios else 1.0

    @property
    def bound(self) -> float:
        """Factor that the next trial exceeds with a probability of one minus :data:`CAUTION`."""
        ratios = self._usual
        if not ratios:
            return self._doubt
        if len(ratios) < _FEWEST:
            return _WIDENED * max(ratios)
        from scipy.stats import t

        number = len(ratios)
        quantile = float(t.ppf(CAUTION, number - 1))
        return fmean(ratios) + quantile * stdev(ratios) * math.sqrt(1 + 1 / number)

    @property
    def _usual(self) -> list[float]:
        """The ratios of the trials that were not held up."""
        most = _HELD_UP * median_low([1.0, *self._ratios])
        return [ratio for ratio in self._ratios if ratio <= most]


def may_begin(need_s: float, *, left_s: float, before_s: Sequence[float], replicas: int) -> bool:
    """Returns whether a trial would end in the time that is left, after those before it.

    Args:
        need_s: bound on the seconds that it takes.
        left_s: seconds in which trials may be trained.
        before_s: bounds on the seconds that the trials before it still take: those in training
            first, then those that wait, in their order.
        replicas: that train at once, at least 1.
    """
    return _free_after(before_s, replicas) + need_s <= left_s


def _free_after(before_s: Iterable[float], replicas: int) -> float:
    """Returns the seconds after which a replica is free for one more trial."""
    busy = [0.0] * max(1, replicas)
    for seconds in before_s:
        heapq.heapreplace(busy, busy[0] + max(0.0, seconds))
    return busy[0]


class TimeKeeper:
    """Keeps a sweep within the time that it has left, in two ways.

    A trial begins where it would end before the evaluations after the search have to begin. Where
    trials take longer than that bound, the sweep is interrupted while there is still time for what
    runs to write its checkpoints: nothing is lost, and the limit is kept.
    """

    def __init__(
        self,
        left_s: Callable[[], float],
        *,
        times: TrialTimes,
        replicas: int,
        final_s: float,
        closing_s: float,
    ) -> None:
        """Notes what is kept free.

        Args:
            left_s: returns the seconds that are left of the limit.
            times: how long trials take.
            replicas: that train at once.
            final_s: seconds of what comes after the search, by the forecast.
            closing_s: seconds that an interrupted sweep takes to end.
        """
        self._left_s = left_s
        self.times = times
        self._replicas = replicas
        self.final_s = final_s
        """Seconds that are kept free for what comes after the search."""
        self.closing_s = closing_s
        """Seconds that an interrupted sweep takes to end."""
        self.refused: str | None = None
        """The trial that was not begun last; None where the last one was."""

    def admits(self, trial: str, need_s: float, *, before_s: Sequence[float]) -> bool:
        """Returns whether a trial may begin.

        Args:
            trial: its identity.
            need_s: seconds that it takes by the forecast.
            before_s: seconds that those before it still take by the forecast, in their order.
        """
        bound = self.times.bound
        is_admitted = may_begin(
            bound * need_s,
            left_s=self._left_s() - self.closing_s - bound * self.final_s,
            before_s=[bound * seconds for seconds in before_s],
            replicas=self._replicas,
        )
        self.refused = None if is_admitted else trial
        return is_admitted

    def lacking_s(self, need_s: float) -> float:
        """Returns the seconds that the limit lacks for a trial with none before it; 0 for none.

        Args:
            need_s: seconds that it takes by the forecast.
        """
        needed_s = self.times.bound * (need_s + self.final_s) + self.closing_s
        return max(0.0, needed_s - self._left_s())

    @property
    def is_over(self) -> bool:
        """Whether the sweep has to end now."""
        return self._left_s() <= self.closing_s
