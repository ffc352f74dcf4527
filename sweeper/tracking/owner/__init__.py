"""Between a sweep's owner and its driver: what the driver says of itself, and what it is asked."""

from __future__ import annotations

from sweeper.tracking.owner.life import DriverLife, DriverWord, driver_of, note_life
from sweeper.tracking.owner.limits import (
    LIMITS_FILE,
    USAGE_FILE,
    Limits,
    Meter,
    Period,
    Usage,
    joined,
    limits_of,
    note_limits,
    usage_of,
)
from sweeper.tracking.owner.requests import StopRequest, forget, forget_all, pending
from sweeper.tracking.owner.revisions import (
    REVISIONS_FILE,
    Change,
    Revision,
    Revisions,
    revised,
)

__all__ = [
    "LIMITS_FILE",
    "REVISIONS_FILE",
    "USAGE_FILE",
    "Change",
    "DriverLife",
    "DriverWord",
    "Limits",
    "Meter",
    "Period",
    "Revision",
    "Revisions",
    "StopRequest",
    "Usage",
    "driver_of",
    "forget",
    "forget_all",
    "joined",
    "limits_of",
    "note_life",
    "note_limits",
    "pending",
    "revised",
    "usage_of",
]
