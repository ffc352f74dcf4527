"""Contrasts with intervals that hold together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.analysis.statistics.multiplicity import (
    DRAWS,
    critical_value,
    holm_levels,
    p_values,
    t_value,
)
from sweeper.analysis.statistics.primitive import Components, Contrasts

__all__ = [
    "Intervals",
    "against_control",
    "all_pairs",
    "difference_weights",
    "simultaneous",
    "stepwise",
]


@dataclass(frozen=True, eq=False)
class Intervals:
    """The contrasts of one family with their intervals.

    Attributes:
        weights: float64 [m, k].
        contrasts: [m].
        critical: float64 [m], by which an error is multiplied.
    """

    weights: NDArray[np.float64]
    contrasts: Contrasts
    critical: NDArray[np.float64]

    @property
    def half_widths(self) -> NDArray[np.float64]:
        """Half the width of each interval [m]."""
        return self.critical * self.contrasts.standard_errors

    @property
    def low(self) -> NDArray[np.float64]:
        """Lower ends [m]."""
        return self.contrasts.values - self.half_widths

    @property
    def high(self) -> NDArray[np.float64]:
        """Upper ends [m]."""
        return self.contrasts.values + self.half_widths


def difference_weights(k: int, pairs: list[tuple[int, int]]) -> NDArray[np.float64]:
    """Returns the weights [m, k] of the differences first − second of pairs of configurations."""
    weights = np.zeros((len(pairs), k))
    rows = np.arange(len(pairs))
    weights[rows, [first for first, _ in pairs]] = 1.0
    weights[rows, [second for _, second in pairs]] = -1.0
    return weights


def all_pairs(k: int) -> list[tuple[int, int]]:
    """Returns all pairs of k configurations, the earlier one first."""
    return [(a, b) for a in range(k) for b in range(a + 1, k)]


def against_control(k: int, control: int) -> list[tuple[int, int]]:
    """Returns the pairs of each of k configurations with the control, which stands second."""
    return [(each, control) for each in range(k) if each != control]


def simultaneous(
    components: Components,
    weights: NDArray[np.float64],
    *,
    alpha: float = 0.05,
    draws: int = DRAWS,
) -> Intervals:
    """Returns intervals that hold all together with probability 1 − alpha.

    For all pairs they are Tukey's, for all against one Dunnett's (Hsu 1996, chapters 3 and 5),
    without their assumption of equal variances.

    Args:
        components: Of k configurations.
        weights: float64 [m, k], m at least 1.
        alpha: In (0, 1).
        draws: Of the multivariate t.
    """
    found = components.contrasts(weights)
    df = float(found.df.min())
    value = critical_value(components, weights, df=df, alpha=alpha, draws=draws)
    return Intervals(weights, found, np.full(len(weights), value))


def stepwise(
    components: Components, weights: NDArray[np.float64], *, alpha: float = 0.05
) -> Intervals:
    """Returns intervals that leave out zero exactly where Holm's procedure rejects.

    The family of rejections holds at alpha (Holm 1979). Each interval is of at least 1 − alpha.

    Args:
        components: Of k configurations.
        weights: float64 [m, k], m at least 1.
        alpha: In (0, 1).
    """
    found = components.contrasts(weights)
    levels = holm_levels(p_values(found), alpha)
    critical = [t_value(df, level / 2) for df, level in zip(found.df, levels, strict=True)]
    return Intervals(weights, found, np.array(critical))
