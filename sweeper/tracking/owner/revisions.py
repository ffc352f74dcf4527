"""What the owner of a sweep has changed of what was asked for: the file ``revisions.json``.

``sweep.json`` stays as it was written; the last revision counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, Field

from sweeper._files import write_json
from sweeper.tracking.stored import MAX_WORD, STORED, read_stored

__all__ = ["REVISIONS_FILE", "Revision", "Revisions", "add_revision", "revised"]

REVISIONS_FILE = "revisions.json"
"""Name of the file."""


class Revision(BaseModel):
    """A number of trials that a search was given after its start."""

    model_config = STORED

    at: AwareDatetime
    """When, UTC."""
    by: str = Field(default="", max_length=MAX_WORD)
    """Who, and on which machine."""
    trials_before: int = Field(ge=1)
    """Trials that it was to have until then."""
    trials: int = Field(ge=1)
    """Trials that it is to have from then on."""


class Revisions(BaseModel):
    """``revisions.json``: all revisions of a sweep, the earliest first."""

    model_config = STORED

    revisions: tuple[Revision, ...]
    """The revisions."""


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


def revised(document: Mapping[str, Any], found: Revisions | None) -> dict[str, Any]:
    """Returns a sweep's document with its last revision.

    Args:
        document: as it was asked for.
        found: what ``revisions.json`` holds; None without one.
    """
    if found is None or not found.revisions:
        return dict(document)
    search = document.get("search")
    own = search if isinstance(search, Mapping) else {}
    return {**document, "search": {**own, "trials": found.revisions[-1].trials}}
