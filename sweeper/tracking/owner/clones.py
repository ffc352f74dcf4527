"""Trials of a sweep that began where another one ended: a folder a clone, beside the trials.

A clone has had more steps than a trial of its sweep. So it stands apart: no ranking, mean, verdict,
table of scores or importance sees it, and the study of the search does not know of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import AwareDatetime, BaseModel, Field

from sweeper._files import write_json
from sweeper.errors import DamagedFileError
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.stored import MAX_COUNT, MAX_WORD, STORED, read_stored
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import SPEC_FILE, TrialFolder, trial_names

__all__ = [
    "CLONES",
    "PARENT_FILE",
    "Clone",
    "ClonedFrom",
    "add_clone",
    "clone_identity",
    "clones_of",
    "parent_of",
]

CLONES = "clones"
"""Name of the folder of clones in that of a sweep."""
PARENT_FILE = "cloned_from.json"
"""Name of the file that says from which trial a clone began."""


class ClonedFrom(BaseModel):
    """``cloned_from.json``: where a clone began."""

    model_config = STORED

    trial: str = Field(pattern="^[0-9a-f]{12}$")
    """Identity of its parent."""
    name: str = Field(max_length=MAX_WORD)
    """What a reader calls the parent."""
    folder: str = Field(max_length=MAX_WORD)
    """The parent's folder, in that of the sweep."""
    steps: int = Field(ge=0, le=MAX_COUNT)
    """Optimiser steps that the parent's adapter was trained for, before the clone's own."""
    asked: tuple[str, ...] = ()
    """What was changed of the parent's spec, as it was given."""
    at: AwareDatetime
    """When it was made, UTC."""
    by: str = Field(default="", max_length=MAX_WORD)
    """Who, and on which machine."""
    taken: tuple[str, ...] = ()
    """Tensors of the parent's adapter that the clone begins with."""
    left: dict[str, str] = {}
    """Tensors of the clone's adapter that begin anew, and why."""


class Clone(BaseModel):
    """A clone as it stands."""

    model_config = STORED

    record: TrialRecord
    """Its record; its number is among the clones of the sweep."""
    parent: ClonedFrom
    """Where it began."""

    @property
    def steps_in_all(self) -> int:
        """Steps of its own and of all before."""
        return self.record.steps + self.parent.steps


def clone_identity(identity: str, parent: str) -> str:
    """Returns 12 hex digits that name a clone: its spec, data and program, and its parent.

    Args:
        identity: of the trial that it would be without a parent.
        parent: identity of the parent.
    """
    return hashlib.sha256(f"{identity} from {parent}".encode()).hexdigest()[:12]


def add_clone(
    sweep: SweepFolder,
    clone_id: str,
    *,
    spec: Mapping[str, object],
    method: str,
    params: Mapping[str, object],
    steps_total: int,
    parent: ClonedFrom,
) -> TrialFolder:
    """Returns the folder of a new clone, which waits to be trained.

    Args:
        sweep: of the parent.
        clone_id: of :func:`clone_identity`; there is no such clone yet.
        spec: the TrialSpec as plain JSON.
        method: name of the method.
        params: what was searched and the method's fields, flat.
        steps_total: its own optimiser steps.
        parent: where it begins.

    Raises:
        OSError: it cannot be written.
    """
    number = len(trial_names(sweep.path / CLONES))
    folder = TrialFolder(sweep.path / CLONES / clone_id)
    folder.path.mkdir(parents=True, exist_ok=True)
    write_json(folder.path / PARENT_FILE, parent.model_dump(mode="json"))
    description = {
        "id": clone_id,
        "number": number,
        "method": method,
        "origin": "clone",
        "params": dict(params),
        "steps_total": steps_total,
        "spec": spec,
    }
    # The last: a folder without it is none of a trial.
    write_json(folder.path / SPEC_FILE, description)
    return folder


def parent_of(folder: TrialFolder) -> ClonedFrom | None:
    """Returns where a trial began that is a clone; None of any other.

    Raises:
        DamagedFileError: its file is damaged.
    """
    return read_stored(folder.path / PARENT_FILE, ClonedFrom)


def clones_of(sweep: SweepFolder) -> list[tuple[TrialFolder, Clone]]:
    """Returns the clones of a sweep that can be read, by number.

    Args:
        sweep: of any kind.
    """
    found = []
    for name in trial_names(sweep.path / CLONES):
        folder = TrialFolder(sweep.path / CLONES / name)
        try:
            parent = parent_of(folder)
            if parent is not None:
                found.append((folder, Clone(record=folder.read(), parent=parent)))
        except DamagedFileError:
            # Whoever wants it asks for it by its folder, and is told.
            continue
    return sorted(found, key=lambda each: (each[1].record.number, each[1].record.id))
