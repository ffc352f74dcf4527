"""What the database of a study raises, as an error that names its file and says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.exceptions import OptunaError

from sweeper.errors import DamagedFileError, UnwritableError

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
def using_study(path: Path) -> Iterator[None]:
    """Turns what Optuna and its database raise in the body into errors of the sweeper.

    Args:
        path: of the study's SQLite database.

    Raises:
        UnwritableError: there is no room for the study, or its file is read-only, or in use.
        DamagedFileError: its file is damaged.
    """
    # It takes a while, and who only plans has no database.
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, OptunaError) as error:
        cause = _cause(error)
        why = str(cause or error).partition("\n")[0] or type(error).__name__
        # The low byte is the kind of error, the rest says more of it.
        if cause is not None and getattr(cause, "sqlite_errorcode", 0) & 0xFF in _UNWRITABLE:
            raise UnwritableError(path, why) from error
        raise DamagedFileError(path, why) from error


def _cause(error: BaseException) -> sqlite3.Error | None:
    """Returns what SQLite itself has said; Optuna's own words are about the values."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, sqlite3.Error):
        found = found.__cause__
    return found
