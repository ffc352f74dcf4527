"""The store that MLflow keeps runs in: asked before a sweep starts, made, mended, moved along."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper._environment import mlflow_asked_once, quieten_mlflow
from sweeper._files import FileLock, sqlite_uri
from sweeper.errors import BadInputError
from sweeper.tracking.databases import (
    holding,
    is_postgresql,
    public_uri,
    without_secrets,
)
from sweeper.tracking.mlflow_view.links import (
    artifact_root,
    resolve_tracking_uri,
    sqlite_file,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "Connect",
    "connect",
    "follow_moved_home",
    "require_store",
    "set_aside_if_damaged",
]

logger = logging.getLogger(__name__)

Connect = Callable[[str], "MlflowClient"]
"""Makes a client of a tracking URI."""

# Another process makes the tables of a new store well within this.
STORE_WAIT_S = 60.0
# What SQLite writes beside a database; left behind it would be played into the next one.
_COMPANIONS = ("-journal", "-wal", "-shm")
_HINT = "name another store with --tracking-uri, or leave it out"
# Names the lock of whoever makes MLflow's tables.
_TABLES = "masa-mosa-sweeper: tables of MLflow"
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def connect(tracking_uri: str) -> MlflowClient:
    """Returns a client; a new SQLite or PostgreSQL store gets its tables, which takes seconds.

    Raises:
        MissingError: the driver of a PostgreSQL store is not installed.
        ConnectionError: such a store does not answer; MLflow would ask it for minutes.
    """
    path = sqlite_file(tracking_uri)
    is_shared = is_postgresql(tracking_uri)
    quieten_mlflow(is_replaced=path is not None or is_shared)
    from mlflow import MlflowClient

    if is_shared:
        # Several processes would make its tables at once; MLflow's own lock is of one machine, and
        # does not cover all that it makes.
        with holding(tracking_uri, _TABLES):
            client = MlflowClient(tracking_uri=tracking_uri)
            client.search_experiments(max_results=1)
            return client
    if path is not None and not _has_content(path):
        _make_store(path)
    return MlflowClient(tracking_uri=tracking_uri)


def _has_content(path: Path) -> bool:
    # An emptied file is a database without tables, which a client that is open takes for one with.
    return path.exists() and path.stat().st_size > 0


def _make_store(path: Path) -> None:
    """Makes MLflow's tables beside ``path`` and moves them there whole.

    MLflow makes them in many steps and never gets over a process that dies between two of them.
    """
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock_of(path) as lock:
        if not lock.acquire(wait_s=STORE_WAIT_S) or _has_content(path):
            return
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.unlink(missing_ok=True)
        MlflowClient(tracking_uri=sqlite_uri(unfinished)).search_experiments(max_results=1)
        unfinished.replace(path)


def _lock_of(path: Path) -> FileLock:
    return FileLock(path.with_name(f"{path.name}.lock"))


def require_store(home: Path | str, tracking_uri: str | None = None) -> None:
    """Checks, before anything starts, that runs can be kept where they are to be kept.

    A store in a file of its own is not opened: MLflow's import takes seconds, and what is damaged
    there is made again.

    Args:
        home: folder of all sweeps.
        tracking_uri: the store; see :func:`sweeper.tracking.mlflow_view.resolve_tracking_uri`.

    Raises:
        BadInputError: the store does not answer, refuses us, or cannot be written.
    """
    uri = resolve_tracking_uri(home, tracking_uri)
    where = f"MLflow's store: {public_uri(uri)}"
    path = sqlite_file(uri)
    if path is not None:
        folder = next(parent for parent in path.parents if parent.exists())
        is_blocked = path.exists() and not (path.is_file() and os.access(path, os.W_OK))
        if is_blocked or not folder.is_dir() or not os.access(folder, os.W_OK):
            blocking = path if is_blocked else folder
            raise BadInputError(
                f"{where} cannot be written: {blocking} is in the way, or is read-only; {_HINT}"
            )
        return
    try:
        with mlflow_asked_once():
            connect(uri).search_experiments(max_results=1)
    except BadInputError:
        raise
    # Each kind of store has a driver with exceptions of its own.
    except Exception as error:
        lines = without_secrets(f"{type(error).__name__}: {error}", uri).splitlines()
        raise BadInputError(
            f"{where} cannot be used ({' '.join(lines)[:400]}); it must answer before a sweep "
            f"starts; check its address and your access, or {_HINT}"
        ) from error


def set_aside_if_damaged(tracking_uri: str) -> Path | None:
    """Moves a damaged SQLite store out of the way, so that the next one is made from the records.

    Args:
        tracking_uri: of a store that has just failed.

    Returns:
        Where the damaged file is now; None where the store is no file, or is sound.
    """
    path = sqlite_file(tracking_uri)
    if path is None or not path.is_file() or not _is_damaged(path):
        return None
    with _lock_of(path) as lock:
        # Another process may have done it while this one waited.
        if not lock.acquire(wait_s=STORE_WAIT_S) or not path.exists() or not _is_damaged(path):
            return None
        number = 1
        while (kept := path.with_name(f"{path.name}.damaged-{number}")).exists():
            number += 1
        path.rename(kept)
        for ending in _COMPANIONS:
            companion = path.with_name(path.name + ending)
            if companion.exists():
                companion.rename(kept.with_name(kept.name + ending))
    return kept


def _is_damaged(path: Path) -> bool:
    """Whether SQLite cannot read a file, or finds nothing in it; False where it is only busy."""
    try:
        with closing(sqlite3.connect(path, timeout=1.0)) as database:
            if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return True
            (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return int(tables) == 0
    except sqlite3.Error as error:
        # The low byte is the kind of error, the rest says more of it.
        return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED


def follow_moved_home(home: Path, tracking_uri: str) -> None:
    """Corrects where artifacts are, in the store of a home that has been moved or copied.

    MLflow keeps the absolute folder of each experiment and run and has no command to change it.

    Args:
        home: folder of all sweeps, where it is now.
        tracking_uri: the store; nothing is done to one that is not the home's own.
    """
    path, root = sqlite_file(tracking_uri), artifact_root(home, tracking_uri)
    if path is None or root is None or path != home / "mlflow.db" or not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as database, database:
            for number, old in database.execute(
                "SELECT experiment_id, artifact_location FROM experiments"
            ).fetchall():
                _move_experiment(database, number, old or "", root)
    except sqlite3.Error as error:
        logger.debug("artifacts of %s were not looked after: %s", path, error)


def _move_experiment(database: sqlite3.Connection, number: int, old: str, root: Path) -> None:
    before, folder, name = old.rpartition(f"/{root.name}/")
    new = f"{root.as_uri()}/{name}"
    if not before.startswith("file://") or not folder or not name or new == old:
        return
    database.execute(
        "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, number)
    )
    database.execute(
        "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
        "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
        (new, len(old) + 1, number, len(old) + 1, f"{old}/"),
    )
