"""What the owner of a sweep has changed of what was asked for: the file ``revisions.json``.

``sweep.json`` stays as it was written; the revisions are put over it, one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, Field, JsonValue

from sweeper._files import write_json
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.experiment.documents.tree import set_path
from sweeper.tracking.mirror import change_lock, changed_at_url, is_at_url
from sweeper.tracking.stored import MAX_COUNT, MAX_WORD, STORED, read_stored

__all__ = [
    "REVISIONS_FILE",
    "Change",
    "Revision",
    "Revisions",
    "add_revision",
    "changed_alone",
    "drop_revision",
    "revised",
]

REVISIONS_FILE = "revisions.json"
"""Name of the file."""
# Seconds that another one who changes the same sweep is waited for.
WAIT_S = 10.0


class Change(BaseModel):
    """A field of the search space that has another value."""

    model_config = STORED

    path: tuple[str, ...] = Field(min_length=1)
    """Where it stands in the document of ``sweep.json``."""
    before: JsonValue = None
    """What it was until then."""
    after: JsonValue = None
    """What it is from then on."""


class Revision(BaseModel):
    """What was changed of a sweep after its start: the number of its trials, or its space."""

    model_config = STORED

    at: AwareDatetime
    """When, UTC."""
    by: str = Field(default="", max_length=MAX_WORD)
    """Who, and on which machine."""
    trials_before: int = Field(ge=1)
    """Trials that it was to have until then."""
    trials: int = Field(ge=1)
    """Trials that it is to have from then on."""
    changes: tuple[Change, ...] = ()
    """Fields that ``resume --set`` has changed."""
    asked: tuple[str, ...] = ()
    """What was given to it."""
    first_number: int = Field(default=0, ge=0, le=MAX_COUNT)
    """Number of the first trial that was not there yet; where the fields changed."""


class Revisions(BaseModel):
    """``revisions.json``: all revisions of a sweep, the earliest first."""

    model_config = STORED

    revisions: tuple[Revision, ...]
    """The revisions."""

    @property
    def of_space(self) -> tuple[Revision, ...]:
        """Those that have changed fields."""
        return tuple(each for each in self.revisions if each.changes)


def add_revision(folder: Path, revision: Revision) -> None:
    """Writes a revision after those that there are.

    Args:
        folder: of the sweep; one process at a time writes there.
        revision: the new one.

    Raises:
        DamagedFileError: what there is cannot be read.
        OSError: it cannot be written.
    """
    found = read_stored(folder / REVISIONS_FILE, Revisions)
    before = () if found is None else found.revisions
    whole = Revisions(revisions=(*before, revision))
    write_json(folder / REVISIONS_FILE, whole.model_dump(mode="json"))


def drop_revision(folder: Path, revision: Revision) -> None:
    """Takes a revision out again, where none came after it.

    Args:
        folder: as of :func:`add_revision`, which raises the same.
        revision: that was added.
    """
    path = folder / REVISIONS_FILE
    found = read_stored(path, Revisions)
    if found is None or found.revisions[-1:] != (revision,):
        return
    before = found.revisions[:-1]
    if before or is_at_url(folder):
        # At a URL a file that is gone here would come again.
        write_json(path, Revisions(revisions=before).model_dump(mode="json"))
    else:
        path.unlink()


def revised(document: Mapping[str, Any], found: Revisions | None) -> dict[str, Any]:
    """Returns a sweep's document with its revisions, and the way of searching that it began with.

    Args:
        document: as it was asked for.
        found: what ``revisions.json`` holds; None without one.
    """
    whole: Any = _searched_as_begun(document)
    if found is None or not found.revisions:
        return dict(whole)
    for revision in found.revisions:
        for change in revision.changes:
            whole = set_path(whole, change.path, change.after)
    search = whole.get("search")
    own = search if isinstance(search, Mapping) else {}
    return {**whole, "search": {**own, "trials": found.revisions[-1].trials}}


def _searched_as_begun(document: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the document of a sweep with its way of searching.

    A sweep notes it when it begins. One that has not is of the time when there was one way alone.
    """
    search = document.get("search", {})
    is_search = "methods" in document and not {"design", "trials"} & document.keys()
    if not is_search or not isinstance(search, Mapping):
        return dict(document)
    return {**document, "search": {"sampler": "tpe", "stop": "asha", **search}}


@contextmanager
def changed_alone(folder: Path, *, command: str) -> Iterator[None]:
    """Keeps what a sweep's owner changes to one process while the body reads and writes it.

    Of a sweep at a URL the body sees those that are there, and what it writes is put there.

    Args:
        folder: of the sweep.
        command: what its owner has called, for the message.

    Raises:
        BadInputError: another one changes it, nothing can be written there, or the sweep is kept at
            a URL, and run by another machine, or its store does not answer.
    """
    try:
        with change_lock(folder) as lock:
            if not lock.acquire(wait_s=WAIT_S):
                raise BadInputError(
                    f"{command}: sweep {folder.name} is being changed by {lock.owner()}; one at a "
                    "time can; try again"
                )
            with changed_at_url(folder, command=command):
                yield
    except DamagedFileError:
        raise
    except OSError as error:
        raise BadInputError(
            f"{command}: sweep {folder.name} stays as it is, because its files cannot be written "
            f"({error.strerror or error}); make room, or make the folder writable"
        ) from error
