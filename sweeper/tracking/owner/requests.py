"""What the owner of a sweep asks its driver to stop: a file a request, which the driver looks for.

A request names the driver that it is for. What a driver that died has left is for nobody: it does
not stop the next one. Of several processes that ask the same one makes the file.
"""

from __future__ import annotations

import getpass
import logging
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, Field

from sweeper._files import write_json
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.tracking.stored import MAX_WORD, STORED, read_stored

__all__ = ["REQUESTS", "StopRequest", "ask_stop", "asked_by", "forget", "forget_all", "pending"]

logger = logging.getLogger(__name__)

REQUESTS = "requests"
"""Name of the folder of requests in that of a sweep."""


class StopRequest(BaseModel):
    """A request to stop a sweep, or one of its trials."""

    model_config = STORED

    driver: str = Field(pattern="^[0-9a-f]{12}$")
    """Which start of a driver it is for."""
    trial: str | None = Field(default=None, pattern="^[0-9a-f]{12}$")
    """Identity of the trial; null for the whole sweep."""
    asked_at: AwareDatetime
    """When, UTC."""
    asked_by: str = Field(default="", max_length=MAX_WORD)
    """Who, and on which machine."""

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"stop-{self.driver}-{self.trial or 'sweep'}.json"


def ask_stop(folder: Path, *, driver: str, trial: str | None = None) -> bool:
    """Asks a driver to stop its sweep or a trial; returns False where it has been asked before.

    Args:
        folder: of the sweep.
        driver: which start of a driver is asked.
        trial: identity of the trial; None for the sweep.

    Raises:
        BadInputError: nothing can be written there.
    """
    now = datetime.now(UTC)
    asked = StopRequest(driver=driver, trial=trial, asked_at=now, asked_by=asked_by())
    path = folder / REQUESTS / asked.name
    try:
        path.parent.mkdir(exist_ok=True)
        write_json(path, asked.model_dump(mode="json"), is_first=True)
    except FileExistsError:
        if path.is_file():
            return False
        raise BadInputError(_unwritable(path, "something else is in its place")) from None
    except OSError as error:
        raise BadInputError(_unwritable(path, error.strerror or str(error))) from error
    return True


def _unwritable(path: Path, why: str) -> str:
    return (
        f"stop: {path} cannot be written ({why}); the driver is asked by a file in the sweep's "
        "folder; make the folder writable, or press Ctrl-C where the driver runs"
    )


def asked_by() -> str:
    """Returns who asks now, and on which machine."""
    try:
        user = getpass.getuser()
    # Where the process's user has no name.
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:MAX_WORD]


def pending(folder: Path, *, driver: str) -> list[StopRequest]:
    """Returns what a driver is asked and has not done yet, the earliest first.

    Args:
        folder: of the sweep.
        driver: which start of a driver.
    """
    found = []
    for path in (folder / REQUESTS).glob(f"stop-{driver}-*.json"):
        try:
            request = read_stored(path, StopRequest)
        except DamagedFileError as error:
            logger.debug("%s", error)
            continue
        if request is not None and request.name == path.name:
            found.append(request)
    return sorted(found, key=lambda request: request.asked_at)


def forget(folder: Path, request: StopRequest) -> None:
    """Removes a request that is done.

    Args:
        folder: of the sweep.
        request: of :func:`pending`.
    """
    with suppress(OSError):
        (folder / REQUESTS / request.name).unlink(missing_ok=True)


def forget_all(folder: Path) -> None:
    """Removes all requests of a sweep that no driver runs.

    Args:
        folder: of the sweep.
    """
    for path in (folder / REQUESTS).glob("stop-*.json"):
        with suppress(OSError):
            path.unlink(missing_ok=True)
