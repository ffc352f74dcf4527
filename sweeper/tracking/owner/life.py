"""What the driver of a sweep says of itself while it runs: the file ``driver.json``."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, Field

from sweeper._files import write_json
from sweeper.errors import DamagedFileError
from sweeper.tracking.places import is_driven
from sweeper.tracking.stored import MAX_COUNT, MAX_WORD, STORED, read_stored

__all__ = ["BEAT_S", "LIFE_FILE", "SILENT_S", "DriverLife", "DriverWord", "driver_of", "note_life"]

LIFE_FILE = "driver.json"
"""Name of the file."""
BEAT_S = 5.0
"""Seconds between two words of a driver."""
SILENT_S = 60.0
"""Seconds of silence after which a driver on another machine counts as dead. The clocks of the
machines may differ by as much."""


class DriverWord(BaseModel):
    """``driver.json``: a driver's last word."""

    model_config = STORED

    id: str = Field(pattern="^[0-9a-f]{12}$")
    """Which start of a driver this is; a request names it."""
    host: str = Field(max_length=MAX_WORD)
    """Machine that it runs on."""
    pid: int = Field(ge=0, le=MAX_COUNT)
    """Its process there."""
    started_at: AwareDatetime
    """When it began, UTC."""
    said_at: AwareDatetime
    """When it said this, UTC."""
    ended_at: AwareDatetime | None = None
    """When it ended by itself, UTC."""
    stage: str = Field(default="", max_length=2000)
    """What it does besides the trials, a line or nothing."""
    replicas: int = Field(default=0, ge=0, le=MAX_COUNT)
    """Replicas that there are to be; 0 before there is a pool."""
    ready: int = Field(default=0, ge=0, le=MAX_COUNT)
    """Replicas that have been ready, and are not lost."""
    restarting: int = Field(default=0, ge=0, le=MAX_COUNT)
    """Replicas that died and get ready again."""
    lost: int = Field(default=0, ge=0, le=MAX_COUNT)
    """Replicas that were given up."""
    restarts: int = Field(default=0, ge=0, le=MAX_COUNT)
    """Times that a replica has begun again."""


@dataclass(frozen=True)
class DriverLife:
    """The driver of a sweep as another process sees it."""

    word: DriverWord | None
    """Its last one; None where no driver has said any."""
    is_alive: bool
    """Whether it runs, by its lock on this machine, and by its last word on another one."""


def note_life(folder: Path, word: DriverWord) -> None:
    """Writes a driver's word; OSError where that cannot be written.

    Args:
        folder: of the sweep.
        word: of its driver.
    """
    # The next one follows in seconds: what a loss of power costs is that long.
    write_json(folder / LIFE_FILE, word.model_dump(mode="json"), is_durable=False)


def driver_of(folder: Path, *, now: datetime | None = None) -> DriverLife:
    """Returns what is known of a sweep's driver.

    Args:
        folder: of the sweep.
        now: the time, UTC.
    """
    try:
        word = read_stored(folder / LIFE_FILE, DriverWord)
    except DamagedFileError:
        word = None
    if is_driven(folder):
        return DriverLife(word, is_alive=True)
    # A lock of this machine ends with its process. That of another one may not be seen from here.
    is_elsewhere = word is not None and word.host != socket.gethostname()
    if word is None or not is_elsewhere or word.ended_at is not None:
        return DriverLife(word, is_alive=False)
    silent_s = ((now or datetime.now(UTC)) - word.said_at).total_seconds()
    return DriverLife(word, is_alive=silent_s < SILENT_S)
