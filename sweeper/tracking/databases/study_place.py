"""Where the study of a sweep is: in a file of the sweep's, or in a database that sweeps share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from sweeper import _environment
from sweeper._files import sqlite_uri, write_json
from sweeper.errors import BadInputError
from sweeper.tracking.databases.addresses import is_postgresql, public_uri
from sweeper.tracking.stored import STORED, read_stored

if TYPE_CHECKING:
    from sweeper.tracking.sweep_folder import SweepFolder

__all__ = [
    "STUDY_FILE",
    "STUDY_NOTE",
    "StudyNote",
    "StudyPlace",
    "forget_place",
    "note_place",
    "place_of_study",
    "shared_storage",
]

STUDY_FILE = "optuna.db"
"""Name of the study's file in the folder of its sweep."""
STUDY_NOTE = "study.json"
"""Name of the file that says in which shared database the study is."""


class StudyNote(BaseModel):
    """``study.json``: where the study of a sweep is, if it is in no file of the sweep's."""

    model_config = STORED

    storage: str = Field(max_length=1000)
    """Address of the database, without user, password and query."""
    # Optuna has no longer ones.
    name: str = Field(max_length=512)
    """Of the study in it."""


@dataclass(frozen=True)
class StudyPlace:
    """Where a study is, and its name there."""

    name: str
    """Of the study; in a file of one sweep there is one, whatever its name."""
    path: Path | None = None
    """The file; None in a shared database."""
    uri: str = field(default="", repr=False)
    """Address of the shared database, with what must not be shown."""
    noted: str = ""
    """Where the sweep's folder says that the study is; empty where it says nothing."""

    @property
    def is_there(self) -> bool:
        """Whether there can be a study: a shared database has to be asked."""
        return self.path is None or self.path.is_file()

    @property
    def address(self) -> str:
        """What Optuna opens; it may hold a password."""
        return self.uri if self.path is None else sqlite_uri(self.path)

    @property
    def was_elsewhere(self) -> bool:
        """Whether the sweep's folder names another database."""
        return self.path is None and self.noted not in {"", public_uri(self.uri)}

    def __str__(self) -> str:
        """Returns the file, or the database without user, password and query."""
        return public_uri(self.uri) if self.path is None else str(self.path)


def place_of_study(folder: SweepFolder) -> StudyPlace:
    """Returns where the study of a sweep is, or is to be made.

    A sweep keeps the place where its study was begun, whatever the environment says now.

    Args:
        folder: of the sweep.

    Raises:
        BadInputError: it is in a shared database, and the environment names none, or no PostgreSQL.
        DamagedFileError: a file of the sweep is damaged.
    """
    file = folder.path / STUDY_FILE
    note = read_stored(folder.path / STUDY_NOTE, StudyNote)
    uri = shared_storage()
    if note is None and (file.is_file() or not uri):
        return StudyPlace(folder.name, file)
    if not uri:
        raise BadInputError(
            f"sweep: {folder.name!r} has its study at {note.storage if note else ''}, and the "
            "address with user and password is kept in no file; the environment has it; set "
            "SWEEPER_OPTUNA_STORAGE and run the command again"
        )
    if note is not None:
        return StudyPlace(note.name, uri=uri, noted=note.storage)
    # Sweeps of one name, in other folders or on other machines, are other sweeps.
    return StudyPlace(f"{folder.name}-{folder.about().sweep_id}", uri=uri)


def shared_storage() -> str:
    """Returns the database that the environment names for the studies of new sweeps, or nothing.

    Raises:
        BadInputError: it is not on PostgreSQL.
    """
    uri = _environment.optuna_storage()
    if uri and not is_postgresql(uri):
        raise BadInputError(
            f"SWEEPER_OPTUNA_STORAGE: got {public_uri(uri)!r}; a study that is in no file of its "
            "sweep is on PostgreSQL: postgresql://user:password@host/database; correct the "
            "variable, or unset it"
        )
    return uri


def note_place(folder: SweepFolder, place: StudyPlace) -> None:
    """Notes in a sweep's folder where its study is, if that is no file of the folder's.

    Args:
        folder: of the sweep.
        place: of its study, which is there.
    """
    note = StudyNote(storage=str(place), name=place.name)
    if place.path is None and read_stored(folder.path / STUDY_NOTE, StudyNote) != note:
        write_json(folder.path / STUDY_NOTE, note.model_dump())


def forget_place(sweep: Path) -> None:
    """Lets a folder that has become another sweep's begin a study of its own.

    Args:
        sweep: the folder.
    """
    (sweep / STUDY_NOTE).unlink(missing_ok=True)
