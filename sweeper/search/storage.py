"""Optuna's storage of a study: a file of the sweep's, or a database that sweeps share."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import optuna
from optuna.storages import RDBStorage

from sweeper.errors import BadInputError
from sweeper.tracking.databases import (
    Claim,
    StudyPlace,
    answering,
    connect_arguments,
    holding,
    shared_storage,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["driven", "require_study_storage", "storage_at"]

_WHAT = "the studies' database"
_HINT = "unset SWEEPER_OPTUNA_STORAGE for a new sweep, whose study is then in its own folder"
# Names the lock of whoever makes Optuna's tables: two at once fail.
_TABLES = "masa-mosa-sweeper: tables of Optuna"
# Seconds for which a study waits for a server that restarts, or fails over to another one.
PATIENCE_S = 120.0
# Seconds after which the lock of a machine that has died is free.
WAIT_S = 45.0


def storage_at(place: StudyPlace) -> RDBStorage:
    """Returns the storage of a study; a database that is empty gets Optuna's tables.

    A shared database is asked again, for two minutes, when its server goes away later.

    Args:
        place: of the study.

    Raises:
        BadInputError: the shared database does not answer now, or cannot be used.
    """
    if place.path is not None:
        return RDBStorage(place.address)
    from sqlalchemy.pool import NullPool

    arguments = connect_arguments(place.uri)
    with answering(place.uri, what=_WHAT, hint=_HINT):
        with holding(place.uri, _TABLES):
            # What cannot be used leaves no connection behind.
            RDBStorage(place.uri, engine_kwargs={"poolclass": NullPool, "connect_args": arguments})
        storage = RDBStorage(
            place.uri,
            # A connection that a restart of the server has ended is replaced before it is used.
            engine_kwargs={"pool_pre_ping": True, "connect_args": arguments},
            skip_compatibility_check=True,
            skip_table_creation=True,
        )
    _be_patient(storage.engine)
    # A new connection for each transaction would take three times as long; who goes closes them.
    weakref.finalize(storage, storage.engine.dispose)
    return storage


def _be_patient(engine: Engine) -> None:
    """Has an engine try for a while to connect to a server that is away."""
    from sqlalchemy import event

    def connect(
        dialect: Dialect,
        record: ConnectionPoolEntry,
        words: Sequence[str],
        options: Mapping[str, object],
    ) -> DBAPIConnection:
        del record
        begin_s, pause_s = time.monotonic(), 0.5
        while True:
            try:
                return dialect.connect(*words, **options)
            except dialect.loaded_dbapi.OperationalError:
                if time.monotonic() - begin_s + pause_s > PATIENCE_S:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 8.0)

    event.listen(engine, "do_connect", connect)


def require_study_storage() -> None:
    """Checks, before anything starts, that studies can be kept where the environment says.

    Raises:
        BadInputError: the database does not answer, refuses us, or has no room for Optuna's tables.
    """
    if uri := shared_storage():
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage_at(StudyPlace("", uri=uri))


@contextmanager
def driven(place: StudyPlace, *, tell: Callable[[str], None]) -> Iterator[None]:
    """Keeps a study in a shared database to one driver while the body runs.

    The lock of a sweep's folder does not: a copy of the folder, on another machine, has its own.

    Args:
        place: of the study.
        tell: called with a line for the user.

    Raises:
        BadInputError: another process drives the study, or the database does not answer.
    """
    if place.path is not None:
        yield
        return
    with answering(place.uri, what=_WHAT, hint=_HINT):
        pass

    def wait(seconds: float) -> None:
        tell(
            f"Another process drives the study {place.name}, or its machine has died; waiting up "
            f"to {seconds:g} s to see whether it still does"
        )

    with Claim(place.uri, place.name, wait_s=WAIT_S).held(on_waiting=wait) as is_held:
        if not is_held:
            raise BadInputError(
                f"sweep: its study {place.name} at {place} is driven by another process, from "
                "another copy of the sweep's folder; a study has one driver; wait for it, or stop "
                "it first"
            )
        yield
