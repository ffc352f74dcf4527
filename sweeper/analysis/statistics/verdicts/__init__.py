"""Verdicts: what is asked, what follows as objects, and the words for it."""

from __future__ import annotations

from sweeper.analysis.statistics.verdicts.concluding import conclude
from sweeper.analysis.statistics.verdicts.conclusions import (
    Basis,
    BestSet,
    Conclusion,
    Conclusions,
    Needs,
    Silence,
    Statement,
)
from sweeper.analysis.statistics.verdicts.spec import (
    ALPHA,
    AgainstControl,
    AllPairs,
    Best,
    ConclusionSpec,
    DeclaredPairs,
    Factorial,
    Peaks,
    Question,
    SizeTrend,
    default_delta,
)
from sweeper.analysis.statistics.verdicts.words import PLAIN, POINTS, Unit, Words, words

__all__ = [
    "ALPHA",
    "PLAIN",
    "POINTS",
    "AgainstControl",
    "AllPairs",
    "Basis",
    "Best",
    "BestSet",
    "Conclusion",
    "ConclusionSpec",
    "Conclusions",
    "DeclaredPairs",
    "Factorial",
    "Needs",
    "Peaks",
    "Question",
    "Silence",
    "SizeTrend",
    "Statement",
    "Unit",
    "Words",
    "conclude",
    "default_delta",
    "words",
]
