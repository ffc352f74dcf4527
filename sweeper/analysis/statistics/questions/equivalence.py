"""Whether two configurations differ by less than what matters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweeper.analysis.statistics.multiplicity import t_value
from sweeper.analysis.statistics.primitive import Contrasts

__all__ = ["equivalence_margins"]


def equivalence_margins(contrasts: Contrasts, *, alpha: float = 0.05) -> NDArray[np.float64]:
    """Returns half the width [m] of the intervals of two one-sided tests (Schuirmann 1987).

    Where the interval value ± margin, of level 1 − 2·alpha, lies within ±δ, equivalence within δ
    is shown with an error of at most alpha, for each contrast by itself.

    Args:
        contrasts: [m].
        alpha: In (0, 0.5).
    """
    values = [t_value(df, alpha) for df in contrasts.df]
    return np.array(values) * contrasts.standard_errors
