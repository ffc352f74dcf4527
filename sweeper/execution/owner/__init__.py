"""What a driver does for its sweep's owner: it tells that it lives, and does what it is asked."""

from __future__ import annotations

from sweeper.execution.owner.admission import (
    COSTS_FILE,
    Admission,
    keep_limits,
    require_time_left,
)
from sweeper.execution.owner.notices import Notices
from sweeper.execution.owner.watch import OwnerWatch

__all__ = [
    "COSTS_FILE",
    "Admission",
    "Notices",
    "OwnerWatch",
    "keep_limits",
    "require_time_left",
]
