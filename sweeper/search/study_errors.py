"""What the database of a study raises, as an error that names the place and says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import OptunaError

from sweeper.errors import DamagedFileError, StudyLostError, UnwritableError
from sweeper.tracking.databases import StudyPlace, why_of

__all__ = ["using_study"]

# SQLite's kinds of error that say nothing against what is in the file.
_UNWRITABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)


@contextmanager
def using_study(place: StudyPlace, *, is_running: bool = False) -> Iterator[None]:
    """Turns what Optuna and its database raise in the body into errors of the sweeper.

    Args:
        place: of the study.
        is_running: a sweep runs, which then stops, whatever broke its study.

    Raises:
        UnwritableError: there is no room for the study, or its file is read-only, or in use; of a
            sweep that runs, also where it is damaged.
        DamagedFileError: its file is damaged.
        StudyLostError: its shared database does not answer, or refuses what it is asked.
    """
    # It takes a while, and who only plans has no database.
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, OptunaError) as error:
        if place.path is None:
            raise StudyLostError(str(place), why_of(error, place.uri)) from error
        cause = _cause(error)
        why = str(cause or error).partition("\n")[0] or type(error).__name__
        # The low byte is the kind of error, the rest says more of it.
        is_blocked = getattr(cause, "sqlite_errorcode", 0) & 0xFF in _UNWRITABLE
        kind = UnwritableError if is_running or is_blocked else DamagedFileError
        raise kind(place.path, why) from error


def _cause(error: BaseException) -> sqlite3.Error | None:
    """Returns what SQLite itself has said; Optuna's own words are about the values."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, sqlite3.Error):
        found = found.__cause__
    return found
