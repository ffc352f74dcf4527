"""A PostgreSQL server: whether it answers, and locks that end with the process that has them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sweeper.errors import BadInputError, MissingError
from sweeper.tracking.databases.addresses import public_uri, without_secrets

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["Claim", "answering", "connect_arguments", "holding", "why_of"]

# Seconds for a server to take a connection; libpq itself waits for ever.
CONNECT_S = 10
# Within 35 s a server ends the connection of a machine that has died, and so gives its locks back.
_KEPT_ALIVE = (
    "SET tcp_keepalives_idle = 15",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 4",
)


def connect_arguments(uri: str) -> dict[str, object]:
    """Returns what keeps a driver from waiting for ever, where the address does not say how long.

    Args:
        uri: of a PostgreSQL database.
    """
    return {} if "connect_timeout=" in uri else {"connect_timeout": CONNECT_S}


def why_of(error: Exception, uri: str) -> str:
    """Returns what a database has said, in one line and without secrets.

    Args:
        error: of SQLAlchemy, Optuna, MLflow or the driver.
        uri: of the database.
    """
    found: BaseException = error
    # Libraries say of what the driver has said that something went wrong.
    while getattr(found, "orig", None) is None and found.__cause__ is not None:
        found = found.__cause__
    found = getattr(found, "orig", None) or found
    text = " ".join(f"{type(found).__name__}: {found}".split())
    return without_secrets(text, uri)[:400]


@contextmanager
def answering(uri: str, *, what: str, hint: str) -> Iterator[None]:
    """Tells, as bad input, that a database does not answer, or that the body cannot use it.

    A server that is away is told at once: libraries ask again and again, for minutes.

    Args:
        uri: of a PostgreSQL database.
        what: is kept there, such as ``MLflow's store``.
        hint: what to do where the database cannot be used.

    Raises:
        MissingError: the driver is not installed.
        BadInputError: the address names no database, or the server does not answer or refuses us.
    """
    where = f"{what}: {public_uri(uri)}"
    try:
        with _opened(uri):
            pass
        yield
    except BadInputError:
        raise
    # Each library in between has exceptions of its own.
    except Exception as error:
        raise BadInputError(
            f"{where} cannot be used ({why_of(error, uri)}); it must answer before a sweep "
            f"starts; check its address and your access, or {hint}"
        ) from error


@contextmanager
def holding(uri: str, key: str) -> Iterator[None]:
    """Holds a lock of a database while the body runs; waits for it.

    Args:
        uri: of a PostgreSQL database.
        key: names the lock.

    Raises:
        MissingError: the driver is not installed.
        ConnectionError: the server does not answer, or refuses us.
    """
    with _opened(uri) as connection:
        # A statement that waits in the server would have whoever changes tables wait for it.
        while not _try(connection, key):
            time.sleep(0.2)
        yield


@dataclass
class Claim:
    """A lock of a database that one process has at a time, for hours."""

    uri: str = field(repr=False)
    """Of a PostgreSQL database."""
    key: str
    """Names it."""
    wait_s: float = 0.0
    """Seconds to wait for another process that has it."""

    @contextmanager
    def held(self, *, on_waiting: Callable[[float], None]) -> Iterator[bool]:
        """Has the lock while the body runs; yields whether it was got.

        Args:
            on_waiting: called with the seconds that it may take, where another process has it: one
                whose machine has died has it until the server notices.
        """
        with _opened(self.uri) as connection:
            is_held = _try(connection, self.key)
            if not is_held:
                on_waiting(self.wait_s)
                begin_s = time.monotonic()
                while not is_held and time.monotonic() - begin_s < self.wait_s:
                    time.sleep(0.5)
                    is_held = _try(connection, self.key)
            yield is_held


def _try(connection: Connection, key: str) -> bool:
    """Returns whether a lock was free, and is now this connection's."""
    from sqlalchemy import text

    # PostgreSQL's locks are named by 64 bits with a sign.
    digest = hashlib.sha256(key.encode()).digest()[:8]
    number = int.from_bytes(digest, signed=True)
    found = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": number})
    return bool(found.scalar_one())


@contextmanager
def _opened(uri: str) -> Iterator[Connection]:
    """Yields a connection that nobody else has; it is closed even where its server has gone.

    Raises:
        MissingError: the driver is not installed.
        ConnectionError: the server does not answer, or refuses us.
    """
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        connection = _engine(uri).connect()
        for words in _KEPT_ALIVE:
            connection.execute(text(words))
    except ImportError as error:
        raise MissingError(
            f"the package {error.name or 'psycopg[binary]'} is not installed; {public_uri(uri)} "
            "needs it; run: pip install 'masa-mosa-sweeper[postgresql]', and let the address "
            "begin with postgresql://"
        ) from error
    except SQLAlchemyError as error:
        raise ConnectionError(why_of(error, uri)) from error
    with connection:
        yield connection


def _engine(uri: str) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    return create_engine(
        uri,
        poolclass=NullPool,
        # Nothing is left to be rolled back, which would fail where the server has gone.
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,
        connect_args=connect_arguments(uri),
    )
