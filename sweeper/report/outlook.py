"""When a sweep will have ended, from what its trials took so far, and what they have cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist, fmean, stdev
from typing import Any

from sweeper._text import count
from sweeper.tracking.record import TrialRecord

__all__ = ["Cost", "Forecast", "cost_of", "forecast_of"]

# Trials that have to have ended before their spread says anything.
FEWEST_ENDED = 3
# Share of sweeps that end within the interval, were the times of trials normal.
COVERED = 0.9


@dataclass(frozen=True)
class Forecast:
    """When the trials of a sweep will have ended, from now on in seconds."""

    left_s: float
    """The most likely time."""
    low_s: float | None
    """Lower end of the interval that holds it in nine of ten cases; None where it is rough."""
    high_s: float | None
    """Upper end of it."""
    rests_on: str
    """What it was computed from."""

    @property
    def is_rough(self) -> bool:
        """Whether too few trials have ended for an interval."""
        return self.low_s is None

    def document(self) -> dict[str, Any]:
        """Returns the same as plain JSON."""
        return {**asdict(self), "is_rough": self.is_rough}


@dataclass(frozen=True)
class Cost:
    """What the trials of a sweep have cost so far: their own time, no start and no idle replica."""

    worker_hours: float
    """Hours of worker processes."""
    gpu_hours: float
    """Hours of GPUs; 0 without any."""
    price: float | None
    """In the currency of ``resources.price_per_hour``; None without that."""

    def document(self) -> dict[str, Any]:
        """Returns the same as plain JSON."""
        return asdict(self)


def forecast_of(
    trials: Sequence[TrialRecord], *, total: int | None, replicas: int
) -> Forecast | None:
    """Returns when the trials of a sweep will have ended; None where nothing is known of it.

    The time of a trial that waits is taken to be that of one that has ended, pruned ones among
    them; that of one in training follows from its own steps. The evaluation after the search is
    not in it.

    Args:
        trials: of the sweep, without those that were trained elsewhere.
        total: trials that there will be.
        replicas: that train at once.
    """
    running = [x for x in trials if x.status == "running"]
    ended = [x.wall_time_s for x in trials if x.is_final and x.attempts and x.wall_time_s > 0]
    counted = sum(x.status != "superseded" and x.is_final for x in trials)
    waiting = max(0, (total or counted) - counted - len(running))
    each_s, pace = _time_of_one(trials, ended), _pace(trials)
    if pace is None or (waiting and each_s is None):
        return None
    own = [pace * max(0, x.steps_total - x.steps) for x in running]
    replicas = max(1, replicas, len(running))
    longest_s = max([*own, (each_s or 0.0) if waiting else 0.0], default=0.0)
    left_s = max((sum(own) + waiting * (each_s or 0.0)) / replicas, longest_s)
    on = "; the evaluation after the search is not in it"
    if len(ended) < FEWEST_ENDED:
        steps = f"{1 / pace:.3g} steps a second so far on a replica"
        return Forecast(left_s, None, None, f"{steps}, {count(waiting, 'trial')} to begin{on}")
    # A trial to come differs from the mean, and the mean of those that ended from the true one.
    spread = stdev(ended) * math.sqrt(waiting + waiting**2 / len(ended)) / replicas
    half_s = _student((1 + COVERED) / 2, len(ended) - 1) * spread
    low_s = max(left_s - half_s, longest_s if not waiting else max(own, default=0.0))
    rests = f"{count(len(ended), 'trial')} that ended, on {count(replicas, 'replica')}{on}"
    return Forecast(left_s, min(low_s, left_s), left_s + half_s, rests)


def _time_of_one(trials: Sequence[TrialRecord], ended: Sequence[float]) -> float | None:
    if len(ended) >= FEWEST_ENDED:
        return fmean(ended)
    pace, steps = _pace(trials), [x.steps_total for x in trials if x.steps_total]
    return None if pace is None or not steps else pace * fmean(steps)


def _pace(trials: Sequence[TrialRecord]) -> float | None:
    """Returns the seconds that a step took, evaluations and the like included."""
    trained = [x for x in trials if x.steps and x.wall_time_s > 0]
    steps = sum(x.steps for x in trained)
    return sum(x.wall_time_s for x in trained) / steps if steps else None


def _student(level: float, freedom: int) -> float:
    """Returns a quantile of Student's t, to a hundredth from 4 degrees of freedom on.

    Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.5. SciPy's exact one
    takes longer to import than all of ``status`` takes.
    """
    z = NormalDist().inv_cdf(level)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def cost_of(trials: Sequence[TrialRecord], resources: Mapping[str, Any]) -> Cost:
    """Returns what trials have cost so far.

    Args:
        trials: of the sweep, without those that were trained elsewhere.
        resources: the section of the sweep's document; a damaged one says nothing.
    """
    workers, gpus, price = (
        _number(resources, name, default)
        for name, default in (("workers", 1.0), ("gpus_per_worker", 0.0), ("price_per_hour", None))
    )
    hours = sum(x.wall_time_s for x in trials) / 3600 * (workers or 1.0)
    return Cost(hours, hours * (gpus or 0.0), None if price is None else hours * price)


def _number(section: Mapping[str, Any], name: str, default: float | None) -> float | None:
    value = section.get(name, default)
    is_good = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return float(value) if is_good and value is not None else default
