"""Where a sweep is made: under a free name, by one process, in a folder that can be written."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sweeper._files import read_json, write_json, write_text
from sweeper.errors import BadInputError, DamagedFileError, NameTakenError
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.documents.yaml_text import dump_yaml
from sweeper.experiment.space.rates import packaged_prior
from sweeper.tracking.mirror import LOCK_FILE, driver_elsewhere, is_locked
from sweeper.tracking.provenance import git_state, machine, package_versions
from sweeper.tracking.stored import ConfirmedSearch

__all__ = [
    "LOCK_FILE",
    "MAX_NAME",
    "SPACE_FILE",
    "SWEEP_FILE",
    "driven_since",
    "is_driven",
    "make_sweep",
    "write_space",
]

logger = logging.getLogger(__name__)

SWEEP_FILE = "sweep.json"
"""Name of the file that makes a folder a sweep's."""
SPACE_FILE = "search_space.yaml"
"""Name of the file beside it that runs the same again, wherever it is copied to."""
# A reader wants to know first what it is called and what it runs on.
_FIRST = ("name", "description", "model", "data", "engine", "resources", "budget", "methods")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# A file system takes 255 bytes; Ray makes names of this one, and so do files that are being put.
MAX_NAME = 150
"""Characters that the name of a sweep may have."""


def make_sweep(
    home: Path | str,
    name: str,
    *,
    document: Mapping[str, object],
    now: datetime,
    confirms: ConfirmedSearch | None = None,
) -> Path:
    """Makes the folder of a new sweep and returns it.

    Args:
        home: folder of all sweeps; made when it is missing.
        name: name of the sweep and of its folder.
        document: the resolved sweep as plain JSON.
        now: the time, UTC.
        confirms: the search that it confirms, if it confirms one.

    Raises:
        NameTakenError: another process has made a sweep of that name.
        BadInputError: the name cannot be a folder's, or nothing can be written there. Nothing was
            made.
    """
    if not NAME.fullmatch(name):
        raise BadInputError(
            f"sweep name: got {name!r}; allowed are letters, digits, '.', '_' and '-', the first a "
            "letter or digit; choose such a name"
        )
    if len(name) > MAX_NAME:
        raise BadInputError(
            f"sweep name: got {len(name)} characters ({name[:20]}…); allowed are {MAX_NAME}; "
            "choose a shorter name"
        )
    path = Path(home) / name
    git = git_state(Path.cwd())
    about = {
        "name": name,
        # Two sweeps of one name on a shared MLflow server are still two sweeps.
        "sweep_id": uuid.uuid4().hex,
        "created_at": now.isoformat(),
        "git": {"commit": git.commit, "is_dirty": git.is_dirty} if git else None,
        "versions": package_versions(),
        "machine": machine(),
        **({} if confirms is None else {"confirms": confirms.model_dump()}),
        # A later version may have another prior; a trial is named by the rate that it has.
        "rate_prior": packaged_prior().model_dump(mode="json"),
        "document": document,
    }
    try:
        _make(path, about)
    except FileExistsError as error:
        if not (path / SWEEP_FILE).exists():
            raise _unwritable(path, error) from error
        raise NameTakenError(
            f"sweep name: {name!r} is taken in {home}; sweep names are unique; continue it with "
            f"'resume {name}', or choose another name"
        ) from error
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def write_space(path: Path, document: Document) -> Path:
    """Writes what a sweep runs as one search space, its profile put in, and returns the file.

    ``sweep.json`` has the same for the program: where this one cannot be written, a warning says
    so, and the sweep goes on.

    Args:
        path: folder of the sweep.
        document: the resolved sweep.
    """
    file = path / SPACE_FILE
    # What its profile said stands in the file itself.
    keys = [*(key for key in _FIRST if key in document), *document]
    own: Document = {key: document[key] for key in keys if key != "profile"}
    try:
        write_text(file, dump_yaml(own))
    except OSError as error:
        logger.warning("%s cannot be written (%s)", file, error.strerror or error)
    return file


def is_driven(sweep: Path) -> bool:
    """Whether a driver runs a sweep now; nothing is changed.

    A driver that was killed cannot have said so: its sweep is still marked as running.

    Args:
        sweep: its folder.
    """
    return is_locked(sweep) or bool(driver_elsewhere(sweep))


def driven_since(sweep: Path) -> datetime | None:
    """Returns since when the last driver of a sweep has had it, UTC; None where it is not known.

    Args:
        sweep: its folder.
    """
    try:
        since_unix_s = (read_json(sweep / LOCK_FILE) or {}).get("since_unix_s")
    except DamagedFileError:
        return None
    return datetime.fromtimestamp(since_unix_s, UTC) if isinstance(since_unix_s, float) else None


def _make(path: Path, about: Mapping[str, object]) -> None:
    """Makes a sweep's folder; on an error there is what was there before.

    The file is the claim: it is there whole or not at all, and of several processes one makes it.
    """
    missing = [folder for folder in (path / "trials", path, *path.parents) if not folder.exists()]
    try:
        (path / "trials").mkdir(parents=True, exist_ok=True)
        write_json(path / SWEEP_FILE, about, is_first=True)
    except OSError:
        # What is another process's by now stays: a sweep's folder, and any that is not empty.
        for folder in [] if (path / SWEEP_FILE).exists() else missing:
            with suppress(OSError):
                folder.rmdir()
        raise


def _unwritable(path: Path, error: OSError) -> BadInputError:
    return BadInputError(
        f"sweeps' folder: {path} cannot be made ({error.strerror or error}); a sweep needs a "
        "folder that can be written and has room; name another one with --home or SWEEPER_HOME"
    )
