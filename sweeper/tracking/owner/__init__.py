"""Between a sweep's owner and its driver: what the driver says of itself, and what it is asked."""

from __future__ import annotations

from sweeper.tracking.owner.life import DriverLife, DriverWord, driver_of, note_life
from sweeper.tracking.owner.requests import StopRequest, forget, forget_all, pending
from sweeper.tracking.owner.revisions import (
    REVISIONS_FILE,
    Change,
    Revision,
    Revisions,
    revised,
)

__all__ = [
    "REVISIONS_FILE",
    "Change",
    "DriverLife",
    "DriverWord",
    "Revision",
    "Revisions",
    "StopRequest",
    "driver_of",
    "forget",
    "forget_all",
    "note_life",
    "pending",
    "revised",
]
