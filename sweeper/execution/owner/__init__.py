"""What a driver does for its sweep's owner: it tells that it lives, and does what it is asked."""

from __future__ import annotations

from sweeper.execution.owner.admission import (
    COSTS_FILE,
    Admission,
    keep_limits,
    require_time_left,
)
from sweeper.execution.owner.clones import clone_jobs
from sweeper.execution.owner.living import LivingSweep
from sweeper.execution.owner.notices import Notices
from sweeper.execution.owner.watch import OwnerWatch

__all__ = [
    "COSTS_FILE",
    "Admission",
    "LivingSweep",
    "Notices",
    "OwnerWatch",
    "clone_jobs",
    "keep_limits",
    "require_time_left",
]
