"""What is on disk of a sweep: the truth, of which MLflow is a view."""

from __future__ import annotations

from sweeper.tracking.final_result import FinalResult, is_evaluated, read_final, write_final
from sweeper.tracking.record import Course, TrialFailure, TrialRecord, TrialStatus
from sweeper.tracking.stored import SweepStatus
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in
from sweeper.tracking.trial_folder import TrialFolder

__all__ = [
    "Course",
    "FinalResult",
    "SweepFolder",
    "SweepStatus",
    "TrialFailure",
    "TrialFolder",
    "TrialRecord",
    "TrialStatus",
    "is_evaluated",
    "read_final",
    "sweeps_in",
    "write_final",
]
