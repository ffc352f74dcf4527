"""Files that survive a crash: replaced whole, appended by whole lines, held by one process."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import math
import os
import re
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from pydantic_core import from_json

from sweeper.errors import BadInputError, DamagedFileError

__all__ = [
    "FileLock",
    "LockError",
    "append_line",
    "dumps",
    "put_whole",
    "read_bytes",
    "read_json",
    "signature",
    "sqlite_uri",
    "write_bytes",
    "write_json",
    "write_text",
]

logger = logging.getLogger(__name__)

# Not-a-number has no place in JSON; these words are what pydantic and float() read back.
_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def dumps(value: object, *, indent: int | None = None) -> str:
    """Returns strict JSON; NaN and the infinities become the strings that ``float`` reads."""
    separators = None if indent else (",", ":")
    return json.dumps(_strict(value), indent=indent, separators=separators, allow_nan=False)


def _strict(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return _NON_FINITE.get(value, "NaN")
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def write_text(path: Path, text: str) -> None:
    """Puts ``text`` in the place of the file at ``path``; see :func:`write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(
    path: Path, content: bytes, *, is_durable: bool = True, is_first: bool = False
) -> None:
    """Puts ``content`` in the place of the file at ``path``: a reader sees the old or the new one.

    Args:
        path: the file; its folder exists.
        content: the whole new content.
        is_durable: wait until it would survive a loss of power.
        is_first: a file that is there stays; of several processes one succeeds.

    Raises:
        FileExistsError: ``is_first``, and there is a file.
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.unfinished")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            if is_durable:
                os.fsync(file.fileno())
        if is_first:
            _link(unfinished, path)
        else:
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    if is_durable:
        _sync_folder(path.parent)


def _link(unfinished: Path, path: Path) -> None:
    """Gives a file a second name, which nobody may have taken, in one step."""
    try:
        path.hardlink_to(unfinished)
    except FileExistsError:
        raise
    except OSError:
        # A file system without such names. A reader may see the file before its content.
        with path.open("xb") as file:
            file.write(unfinished.read_bytes())


@contextmanager
def put_whole(
    path: Path, *, has_one_writer: bool = False, keeps_first: bool = False
) -> Iterator[Path]:
    """Yields a new path for a file or a folder, which takes the place of ``path`` at the end.

    On an error the old content stays, and what was written is removed. A reader of a file sees the
    old content or the new one. A folder that is there is moved away first: for a moment a reader
    finds none. What a killed process has left half-done is removed by the next one that puts
    something beside it.

    Args:
        path: the file or folder; its parent exists.
        has_one_writer: one process at a time writes there; what it finds half-done is not in use.
        keeps_first: of several processes that write there, the first one's content stays.
    """
    with _place_beside(path, has_one_writer=has_one_writer) as unfinished:
        replaced = unfinished.with_suffix(".replaced")
        try:
            yield unfinished
            if keeps_first:
                _take_free_place(unfinished, path)
                return
            if path.is_dir():
                # A folder that is not empty cannot be replaced in one step.
                path.rename(replaced)
            unfinished.replace(path)
        finally:
            _clean(path, unfinished, replaced)


# New names that are tried until one is locked.
_TRIES = 8


@contextmanager
def _place_beside(path: Path, *, has_one_writer: bool) -> Iterator[Path]:
    """Yields a path beside another that nobody else writes to; first tidies up after the dead."""
    if has_one_writer:
        unfinished = path.with_name(f".{path.name}.one.unfinished")
        _clean(path, unfinished, unfinished.with_suffix(".replaced"))
        yield unfinished
        return
    for left in path.parent.glob(".*.writing"):
        _tidy_up(left)
    for tries_left in reversed(range(_TRIES)):
        unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.unfinished")
        with FileLock(unfinished.with_suffix(".writing")) as lock:
            # Between its making and its locking another process may have taken it for a dead one's.
            is_held = lock.acquire() and lock.path.exists()
            # Where none can be had the place is as good, and only the tidying is left undone.
            if is_held or not tries_left:
                try:
                    yield unfinished
                finally:
                    lock.path.unlink(missing_ok=True)
                return


def _tidy_up(lock: Path) -> None:
    """Removes what a dead process has left half-done, and brings back what it had moved away."""
    with FileLock(lock) as dead:
        # A lock that can be had is one whose process has ended.
        if dead.acquire():
            path = lock.with_name(lock.name[1:].rsplit(".", 2)[0])
            unfinished = lock.with_suffix(".unfinished")
            _clean(path, unfinished, unfinished.with_suffix(".replaced"))
            lock.unlink(missing_ok=True)


def _take_free_place(unfinished: Path, path: Path) -> None:
    try:
        unfinished.rename(path)
    except OSError:
        # Another process was faster; somebody may read its content already.
        if not path.exists():
            raise


def _clean(path: Path, unfinished: Path, replaced: Path) -> None:
    if replaced.exists() and not path.exists():
        replaced.rename(path)
    _remove(unfinished)
    _remove(replaced)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        logger.debug("the file system of %s cannot sync folders", path)
    finally:
        os.close(descriptor)


def write_json(
    path: Path, value: object, *, is_durable: bool = True, is_first: bool = False
) -> None:
    """Puts ``value`` as JSON in the place of the file at ``path``; see :func:`write_bytes`."""
    content = f"{dumps(value, indent=2)}\n".encode()
    write_bytes(path, content, is_durable=is_durable, is_first=is_first)


def read_bytes(path: Path, *, offset: int = 0) -> bytes | None:
    """Returns what is in a file from ``offset`` on, None where there is no such file.

    Args:
        path: the file.
        offset: bytes that are left out, at least 0.

    Raises:
        DamagedFileError: it is no file of ours, or cannot be read.
    """
    try:
        with _opened(path, os.O_RDONLY) as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedFileError(path, error.strerror or str(error)) from error


def read_json(path: Path) -> dict[str, Any] | None:
    """Returns the mapping in the JSON file at ``path``, None where there is no such file.

    Raises:
        DamagedFileError: it holds something else.
    """
    content = read_bytes(path)
    if content is None:
        return None
    try:
        # It bounds the depth, and takes no half of a surrogate pair for text.
        value: object = from_json(content)
    except ValueError as error:
        why = "it is empty" if not content.strip(b"\0 \n") else f"it is no JSON ({error})"
        raise DamagedFileError(path, why) from error
    if not isinstance(value, dict):
        raise DamagedFileError(path, f"it holds a {type(value).__name__}, not an object")
    return value


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[BinaryIO]:
    """Opens a file, and nothing else: a link would lead elsewhere, a pipe has no end.

    Raises:
        OSError: it is not a file, with a reason that a reader understands.
    """
    # Without O_NONBLOCK the opening of a pipe would wait for its other end.
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    mode = "rb" if flags & os.O_ACCMODE == os.O_RDONLY else "r+b"
    with os.fdopen(descriptor, mode, buffering=0) as file:
        yield cast("BinaryIO", file)


def append_line(path: Path, line: str) -> None:
    """Appends one line in one write; a line that a crash has cut short before it stays apart.

    Raises:
        OSError: the file cannot be written, or is a link.
    """
    with _opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
        end = file.seek(0, os.SEEK_END)
        is_torn = False
        if end:
            file.seek(end - 1)
            is_torn = file.read(1) != b"\n"
        file.write(("\n" if is_torn else "").encode() + line.encode() + b"\n")


def signature(path: Path) -> tuple[int, int, int]:
    """Returns what changes when the file changes: inode, size, time; zeros where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, 0, 0)
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def sqlite_uri(path: Path) -> str:
    """Returns the URI of an SQLite database, whatever characters its path has."""
    if re.fullmatch(r"[\w./-]+", str(path), re.ASCII):
        # There is nothing to be quoted, and SQLAlchemy takes a second to be imported.
        return f"sqlite:///{path}"
    from sqlalchemy import URL

    uri = URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)
    # Of "sqlite:///" alone MLflow makes the folders itself, and does not decode their names.
    return uri if unquote(uri) == uri else uri.replace("sqlite:", "sqlite+pysqlite:", 1)


class LockError(BadInputError, OSError):
    """A lock's file cannot be made; like any error of a disk where a cache can be done without."""


class FileLock:
    """A file that one holder at a time has locked.

    The lock is the kernel's (``flock``): it ends with its process however that ends, so a stale one
    cannot be. The file says who holds it, for messages only.
    """

    def __init__(self, path: Path) -> None:
        """Names the lock; nothing is taken yet.

        Args:
            path: the lock file; made when it is missing, never removed.
        """
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, *, wait_s: float = 0.0) -> bool:
        """Returns whether the lock could be had within ``wait_s`` seconds.

        Raises:
            LockError: the file cannot be made, or is not one.
        """
        deadline = time.monotonic() + wait_s
        descriptor = self._open()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(0.02)
            except OSError as error:
                # A file system without locks. Refusing to run there would help nobody.
                logger.warning("%s cannot be locked (%s); run one driver only", self.path, error)
                break
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "since_unix_s": time.time()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, dumps(owner).encode(), 0)
        self._descriptor = descriptor
        return True

    def _open(self) -> int:
        try:
            with _opened(self.path, os.O_RDWR | os.O_CREAT) as file:
                return os.dup(file.fileno())
        except OSError as error:
            raise LockError(
                f"{self.path} cannot be locked ({error.strerror or error}); a lock is a file that "
                "can be written; make the folder writable, or remove what is in the file's place"
            ) from error

    def release(self) -> None:
        """Gives the lock back; without having it this does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def owner(self) -> str:
        """Returns who took the lock last, as words."""
        try:
            owner = read_json(self.path)
        except DamagedFileError:
            owner = None
        if not owner:
            return "another process"
        return f"process {owner.get('pid')} on {owner.get('host')}"

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
