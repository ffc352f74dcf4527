"""A metric's value with its standard error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Score", "score_of"]


@dataclass(frozen=True)
class Score:
    """A metric's value with its standard error, where it has one."""

    value: float
    error: float | None = None

    def __str__(self) -> str:
        """Returns ``1.234 ± 0.021``, as exact as the error allows."""
        if self.error is None:
            return f"{self.value:.4g}"
        # Two digits of the error; more of the value would say nothing.
        digits = min(max(0, 1 - math.floor(math.log10(self.error))), 8)
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"

    def error_of_difference(self, other: Score) -> float | None:
        """Returns the standard error of the difference of two scores, taken as independent.

        Two trials answer the same examples, which makes the true error smaller: this one errs on
        the side of not telling two trials apart.
        """
        if self.error is None or other.error is None:
            return None
        return math.hypot(self.error, other.error)


def score_of(metrics: Mapping[str, float], metric: str) -> Score | None:
    """Returns the score of a metric, None where it is missing or not finite."""
    value = metrics.get(metric, math.nan)
    if not math.isfinite(value):
        return None
    error = metrics.get(f"{metric}_se", math.nan)
    # No spread at all among the examples says that there are too few, not that there is no error.
    return Score(value, error if math.isfinite(error) and error > 0 else None)
