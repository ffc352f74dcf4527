"""What an error is multiplied by, so that a whole family of statements holds at its level."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from sweeper.analysis.statistics.primitive import Components, Contrasts

__all__ = [
    "DRAWS",
    "critical_value",
    "holm_adjusted",
    "holm_levels",
    "p_values",
    "t_value",
]

# At this number the value for twenty pairs has an error of about 0.01.
DRAWS = 20_000
# Fixed, so that the same scores always say the same.
_SEED = 20_240_917
# Numbers held at once while the largest of many contrasts is sought.
_MOST_NUMBERS = 4_000_000


def critical_value(
    components: Components,
    weights: NDArray[np.float64],
    *,
    df: float,
    alpha: float = 0.05,
    two_sided: bool = True,
    draws: int = DRAWS,
) -> float:
    """Returns the quantile of the largest of several ratios of a contrast to its error.

    The ratios are multivariate t with the correlations of the contrasts (Hsu 1996, chapter 5 and
    appendix); with equal variances the value is that of Tukey for all pairs, and of Dunnett for
    all against a control. One contrast takes the quantile of t itself, which that of several is
    never below.

    Args:
        components: Whose covariance the contrasts have.
        weights: float64 [m, k], m at least 1.
        df: Degrees of freedom of the family: the smallest of its members'.
        alpha: One minus the level, in (0, 1).
        two_sided: Whether ratios count by their size.
        draws: Of the multivariate t.
    """
    of_one = t_value(df, alpha / 2 if two_sided else alpha)
    if len(weights) == 1:
        return of_one
    root = _root(components.covariance)
    # Not the contrasts' own errors: of peaks the part of the rows is a difference, which no
    # contrast's error has below zero, but their covariance may. Each ratio must vary by 1.
    spreads = np.linalg.norm(weights @ root.T, axis=1)
    scaled = weights / np.where(spreads > 0, spreads, np.inf)[:, None]
    normal = _normal(draws, weights.shape[1]) @ root
    largest = np.full(draws, -np.inf)
    step = max(1, _MOST_NUMBERS // draws)
    for start in range(0, len(scaled), step):
        ratios = scaled[start : start + step] @ normal.T
        if two_sided:
            np.abs(ratios, out=ratios)
        np.maximum(largest, ratios.max(axis=0), out=largest)
    if np.isfinite(df):
        chi = np.random.default_rng(_SEED + 1).chisquare(df, draws)
        largest /= np.sqrt(chi / df)
    return max(of_one, float(np.quantile(largest, 1.0 - alpha)))


def t_value(df: float, tail: float) -> float:
    """Returns the value that t exceeds with a probability of `tail`."""
    return float(stdtrit(min(df, 1e9), 1.0 - tail))


def p_values(contrasts: Contrasts) -> NDArray[np.float64]:
    """Returns two-sided p-values [m], each of its contrast alone."""
    found = 2.0 * stdtr(np.minimum(contrasts.df, 1e9), -np.abs(contrasts.ratios))
    return np.asarray(found, dtype=np.float64)


def holm_levels(p: NDArray[np.float64], alpha: float = 0.05) -> NDArray[np.float64]:
    """Returns the alpha [m] at which each of several p-values is judged (Holm 1979).

    The smallest at α/m, the next at α/(m − 1), and so on; after the first that is not below its
    own, all others at the same as that one. So each is below its alpha exactly where Holm's
    procedure rejects.

    Args:
        p: [m].
        alpha: Of the family, in (0, 1).
    """
    m = len(p)
    order = np.argsort(p, kind="stable")
    levels = alpha / (m - np.arange(m, dtype=np.float64))
    kept = np.flatnonzero(p[order] >= levels)
    if kept.size:
        levels[kept[0] :] = levels[kept[0]]
    found = np.empty(m)
    found[order] = levels
    return found


def holm_adjusted(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns p-values [m] adjusted for their number (Holm 1979): each may be held against alpha.

    The smallest times m, the next times m − 1, and so on, none below one before it and none above
    1.

    Args:
        p: [m].
    """
    m = len(p)
    order = np.argsort(p, kind="stable")
    raised = np.minimum(1.0, p[order] * (m - np.arange(m, dtype=np.float64)))
    found = np.empty(m)
    found[order] = np.maximum.accumulate(raised)
    return found


@lru_cache(maxsize=8)
def _normal(draws: int, k: int) -> NDArray[np.float64]:
    """Returns standard normal draws [draws, k], the same at each call."""
    found = np.random.default_rng(_SEED).standard_normal((draws, k))
    found.setflags(write=False)
    return found


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns A [k, k] with A'A the covariance, negative directions set to zero."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)
