"""What a driver does for its sweep's owner: it tells that it lives, and does what it is asked."""

from __future__ import annotations

from sweeper.execution.owner.admission import Admission, keep_limits, require_trial_fits
from sweeper.execution.owner.budget import (
    price_per_hour,
    require_time_left,
    sentence_of_limit,
    usage_in_all,
)
from sweeper.execution.owner.clones import clone_jobs, require_clones_fit
from sweeper.execution.owner.living import LivingSweep
from sweeper.execution.owner.notices import Notices
from sweeper.execution.owner.watch import OwnerWatch

__all__ = [
    "Admission",
    "LivingSweep",
    "Notices",
    "OwnerWatch",
    "clone_jobs",
    "keep_limits",
    "price_per_hour",
    "require_clones_fit",
    "require_time_left",
    "require_trial_fits",
    "sentence_of_limit",
    "usage_in_all",
]
