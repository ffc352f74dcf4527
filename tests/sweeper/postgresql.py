"""A PostgreSQL server of this machine, for the tests alone: made, started, restarted, ended."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

__all__ = ["PASSWORD", "Server", "running_server"]

PASSWORD = "p@ss w/ord%"
"""Of the server's user; what a URL must write otherwise, and messages must not show."""
_QUOTED = "p%40ss%20w%2Ford%25"
_USER = "sweeps"
# Seconds for a server to start or to end on a machine that is busy.
_WAIT_S = 60.0


def _programs() -> Path | None:
    """Returns the folder of the newest server that Debian's packages, or a PATH, have."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found = sorted(versions, key=lambda path: float(path.parts[-3]), reverse=True)
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _as_other() -> list[str]:
    """Returns the words before a command: it ends with this process, however that is killed.

    PostgreSQL refuses to run as root.
    """
    words = ["setpriv", "--pdeathsig=INT"]
    if os.geteuid() == 0:
        user = _account()
        words += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [*words, "--"]


def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("PostgreSQL needs an account besides root's: run `make services`")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """A server with its data in a folder of its own, which is removed with it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = tempfile.TemporaryDirectory(prefix="sweeper-postgresql-")
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._make()

    @property
    def _data(self) -> Path:
        return Path(self._folder.name) / "data"

    def _make(self) -> None:
        folder = Path(self._folder.name)
        password = folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            user = _account()
            for path in (folder, password):
                os.chown(path, user.pw_uid, user.pw_gid)
        words = ["--auth=scram-sha-256", f"--pwfile={password}", f"--username={_USER}"]
        words += ["--encoding=UTF8", "--no-locale", "--no-sync"]
        subprocess.run(
            [*_as_other(), self._programs / "initdb", "-D", self._data, *words],
            check=True,
            capture_output=True,
            cwd=folder,
        )

    def start(self) -> None:
        """Starts the server and waits until it takes connections.

        It ends with the thread that has started it.
        """
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "60",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (Path(self._folder.name) / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_other(), self._programs / "postgres", "-D", self._data, *words],
                stdout=log,
                stderr=log,
                cwd=self._folder.name,
            )
        deadline_s = time.monotonic() + _WAIT_S
        while not self._answers():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline_s, self.log()
            time.sleep(0.1)

    def _answers(self) -> bool:
        import psycopg

        try:
            with psycopg.connect(self.plain_uri("postgres"), connect_timeout=5):
                return True
        except psycopg.OperationalError:
            return False

    def stop(self) -> None:
        """Ends the server and all connections to it; what was committed stays."""
        process, self._process = self._process, None
        if process is None:
            return
        # Fast: sessions are broken off, their transactions rolled back.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(_WAIT_S)

    def remove(self) -> None:
        """Ends the server and removes its data."""
        self.stop()
        self._folder.cleanup()

    def log(self) -> str:
        """Returns the last of what the server has said."""
        return (Path(self._folder.name) / "log").read_text(errors="replace")[-3000:]

    def plain_uri(self, database: str) -> str:
        """Returns the address of a database, as libpq and SQLAlchemy read it."""
        return f"postgresql://{_USER}:{_QUOTED}@127.0.0.1:{self._port}/{database}"

    def public_uri(self, uri: str) -> str:
        """Returns what may be shown of the address of a database."""
        return f"postgresql://127.0.0.1:{self._port}/{uri.rpartition('/')[2]}"

    def new_database(self) -> str:
        """Returns the address of a database that is empty."""
        self._databases += 1
        name = f"store{self._databases}"
        self.ask("postgres", f"CREATE DATABASE {name}")
        return self.plain_uri(name)

    def ask(self, database: str, words: str) -> list[tuple[object, ...]]:
        """Returns the rows that a command gives, none of one without rows."""
        import psycopg

        with psycopg.connect(self.plain_uri(database), autocommit=True) as connection:
            cursor = connection.execute(words.encode())
            return [] if cursor.description is None else cursor.fetchall()


@cache
def _server() -> Server:
    """The one server of this process; where it cannot be, the test is skipped."""
    pytest.importorskip("psycopg", reason="needs psycopg, of the extra dev")
    programs = _programs()
    if programs is None or shutil.which("setpriv") is None:
        pytest.skip("needs PostgreSQL's server and setpriv: `make services` installs them")
    server = Server(programs)
    atexit.register(server.remove)
    return server


@contextmanager
def running_server() -> Iterator[Server]:
    """Yields the server of this process, which runs; a test may have stopped it."""
    server = _server()
    if server._process is None:
        server.start()
    yield server
