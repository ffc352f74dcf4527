"""Which configurations may be the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweeper.analysis.statistics.multiplicity import DRAWS, critical_value, t_value
from sweeper.analysis.statistics.primitive import Components
from sweeper.analysis.statistics.questions.intervals import difference_weights

__all__ = ["best_set"]

# Up to so many the value is simulated; for more it is Bonferroni's, which is larger.
_MOST_SIMULATED = 64
# Relative; what rounding may change of the value, and of what it is held against, is far smaller.
_ROUNDING = 1e-9


def best_set(
    components: Components, *, alpha: float = 0.05, draws: int = DRAWS
) -> NDArray[np.bool_]:
    """Returns which of k configurations [k] may be the best.

    The set holds the best one with probability 1 − alpha: multiple comparisons with the best (Hsu
    1984; Hsu 1996, chapter 4). A configuration is left out where another one is ahead of it by
    more than the one-sided value for all differences to it. That value is never below the
    two-sided one of t, or a sole winner of two equal configurations would be named at 2·alpha.
    Bonferroni's is never below it: who is behind by more than that is out without a simulation,
    and of more than 64 configurations it is what all are judged by.

    Args:
        components: Of k configurations.
        alpha: In (0, 1).
        draws: Of the multivariate t.
    """
    k = len(components.names)
    if k < 2:
        return np.ones(k, dtype=np.bool_)
    if k > _MOST_SIMULATED:
        found = _of_many(components, alpha)
        if found is not None:
            return found
    behind, df = np.empty(k), np.inf
    for each in range(k):
        # One after another: of thousands all k² differences together would fill the memory.
        others = components.differences_to(each)
        behind[each] = np.delete(others.ratios, each).max()
        df = min(df, float(np.delete(others.df, each).min()))
    floor, ceiling = t_value(df, alpha / 2), t_value(df, alpha / (k - 1))
    if k > _MOST_SIMULATED:
        return np.asarray(behind <= max(floor, ceiling))
    stays: NDArray[np.bool_] = np.asarray(behind <= floor)
    for place in np.flatnonzero(~stays & (behind <= ceiling)).tolist():
        rivals = difference_weights(k, [(j, place) for j in range(k) if j != place])
        value = critical_value(components, rivals, df=df, alpha=alpha, two_sided=False, draws=draws)
        stays[place] = behind[place] <= value
    return stays


def _of_many(components: Components, alpha: float) -> NDArray[np.bool_] | None:
    """Returns the set of many configurations of one seed each, without the k² differences.

    The degrees of freedom of all their differences are those of the rows: so the value is known
    before any of them, and whoever is behind the best one by more needs no other rival.

    Returns:
        None where seeds vary, or where rounding would decide: then all differences are needed.
    """
    if components.seed_excess.any() or components.unseen.any():
        return None
    k, df = len(components.names), components.row_df
    value = max(t_value(df, alpha / 2), t_value(df, alpha / (k - 1)))
    slack = _ROUNDING * value
    ahead = -components.ratios_to(int(components.means.argmax()))
    stays: NDArray[np.bool_] = np.asarray(ahead <= value + slack)
    for each in np.flatnonzero(stays).tolist():
        behind = float(np.delete(components.ratios_to(each), each).max())
        if abs(behind - value) <= slack:
            return None
        stays[each] = behind < value
    return stays
