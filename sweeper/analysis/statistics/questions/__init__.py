"""The questions that a design may ask, each answered with the one primitive."""

from __future__ import annotations

from sweeper.analysis.statistics.questions.best import best_set
from sweeper.analysis.statistics.questions.equivalence import equivalence_margins
from sweeper.analysis.statistics.questions.factors import (
    Effect,
    factorial_effects,
    linear_weights,
    quadratic_weights,
)
from sweeper.analysis.statistics.questions.intervals import (
    Intervals,
    against_control,
    all_pairs,
    difference_weights,
    simultaneous,
    stepwise,
)
from sweeper.analysis.statistics.questions.looks import LOOKS, Look, look_at
from sweeper.analysis.statistics.questions.optimism import optimism
from sweeper.analysis.statistics.questions.tuned import (
    FEWEST_RATES,
    Peak,
    RateGrid,
    peak_components,
    peak_of,
    scored_rates,
)

__all__ = [
    "FEWEST_RATES",
    "LOOKS",
    "Effect",
    "Intervals",
    "Look",
    "Peak",
    "RateGrid",
    "against_control",
    "all_pairs",
    "best_set",
    "difference_weights",
    "equivalence_margins",
    "factorial_effects",
    "linear_weights",
    "look_at",
    "optimism",
    "peak_components",
    "peak_of",
    "quadratic_weights",
    "scored_rates",
    "simultaneous",
    "stepwise",
]
