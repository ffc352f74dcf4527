"""Looking at a comparison before all its seeds are there, at times declared before."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LOOKS", "Look", "look_at"]


@dataclass(frozen=True)
class Look:
    """A declared look.

    Attributes:
        seeds: Of each configuration, at this look.
        alpha: What is spent at it.
    """

    seeds: int
    alpha: float


LOOKS = (Look(3, 0.01), Look(5, 0.015), Look(10, 0.025))
"""Three looks whose alphas add to 0.05: the sum bounds the error whatever their dependence."""


def look_at(seeds: int) -> Look | None:
    """Returns the last declared look that so many seeds allow, None before the first."""
    past = [look for look in LOOKS if look.seeds <= seeds]
    return past[-1] if past else None
