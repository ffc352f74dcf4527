"""What the study of a sweep says of its trials, besides what Optuna keeps."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.trial import FrozenTrial

__all__ = [
    "OBSERVED",
    "REASON",
    "REPEATS",
    "STANDARD_ERROR",
    "TRIAL_ID",
    "UNPLANNED",
    "is_retried",
    "retry_mark",
]

TRIAL_ID = "trial_id"
"""The identity of the trial that an Optuna trial became."""
REPEATS = "repeats"
"""Of a point that was drawn a second time, the identity of the first."""
REASON = "reason"
"""Of a point that is no trial of the sweep, why not."""
UNPLANNED = "unplanned"
"""Of what was enqueued besides the fixed points of the space."""
OBSERVED = "observed"
"""Of a trial of another sweep: which sweep's, and which one."""
STANDARD_ERROR = "standard_error"
"""Of the value that a trial was told with."""


def is_retried(trial: FrozenTrial, marks: Mapping[str, object]) -> bool:
    """Returns whether a failed trial was enqueued again and so counts no longer.

    Args:
        trial: of a study.
        marks: the study's own attributes, which are read once for all of its trials.
    """
    return retry_mark(trial) in marks


def retry_mark(trial: FrozenTrial) -> str:
    """Returns the study's attribute that says so: an ended trial of Optuna's cannot be changed."""
    return f"retried-{trial.number}"
