"""What a sweep allows to be said: parity first, then verdicts, then what is no comparison."""

from __future__ import annotations

from sweeper.analysis.conclusions.differences import Difference, Differences
from sweeper.analysis.conclusions.document import conclusions_document
from sweeper.analysis.conclusions.parity import ParityLine
from sweeper.analysis.conclusions.sweep import SweepConclusions, conclusions_of

__all__ = [
    "Difference",
    "Differences",
    "ParityLine",
    "SweepConclusions",
    "conclusions_document",
    "conclusions_of",
]
