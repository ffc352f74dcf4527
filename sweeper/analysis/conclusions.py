"""What a ranking allows to say, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.estimates import Estimate
from sweeper.tracking.record import TrialRecord

__all__ = []


# Others that a sentence names before it only counts them.
MAX_NAMED = 3


# Below this many standard errors a difference is weak evidence (one in twenty by chance).
STRONG = 2.0


def _over_base(name: str, gain: float, error: float | None) -> str:
    """Returns what it says that a trial is better than the base by this, on the same rows."""
    trial = name[0].upper() + name[1:]
    if not error:
        return f"Whether the difference to {name} is more than chance is not known."
    if abs(gain) <= error:
        return f"{trial} is not distinguishable from that."
    direction = "better" if gain > 0 else "worse"
    distance, amount = abs(gain) / error, Estimate(abs(gain), error)
    return (
        f"{trial} is {direction} by {amount}, {distance:.1f} standard errors of "
        f"the paired difference{_weight(distance)}."
    )


def _weight(distance: float) -> str:
    """Returns what a difference of so many standard errors is worth, where that is little."""
    return "" if distance >= STRONG else ", which is weak evidence"


def _name(trial: TrialRecord) -> str:
    return f"trial {trial.number} ({trial.method})"


def _names(trials: Sequence[TrialRecord]) -> str:
    names = [_name(trial) for trial in trials[:MAX_NAMED]]
    more = len(trials) - len(names)
    if more:
        names.append(f"{more} more")
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _amount(value: float) -> str:
    return f"{value:.3g}"
