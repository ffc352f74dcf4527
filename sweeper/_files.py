"""Files that survive a crash: replaced whole, appended by whole lines, held by one process."""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = [
    "FileLock",
    "append_line",
    "dumps",
    "put_whole",
    "read_json",
    "signature",
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


def write_text(path: Path, text: str, *, is_durable: bool = True) -> None:
    """Puts ``text`` in the place of the file at ``path``: a reader sees the old or the new text.

    Args:
        path: the file; its folder exists.
        text: the whole new content.
        is_durable: wait until it would survive a loss of power.
    """
    with put_whole(path) as unfinished, unfinished.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if is_durable:
            os.fsync(file.fileno())
    if is_durable:
        _sync_folder(path.parent)


@contextmanager
def put_whole(
    path: Path, *, has_one_writer: bool = False, keeps_first: bool = False
) -> Iterator[Path]:
    """Yields a new path for a file or a folder, which takes the place of ``path`` at the end.

    On an error the old content stays, and what was written is removed. A reader of a file sees the
    old content or the new one. A folder that is there is moved away first: for a moment a reader
    finds none.

    Args:
        path: the file or folder; its parent exists.
        has_one_writer: one process at a time writes there. What a killed one left is removed, and
            a folder that it had moved away comes back.
        keeps_first: of several processes that write there, the first one's content stays.
    """
    token = "one" if has_one_writer else uuid.uuid4().hex
    unfinished = path.with_name(f".{path.name}.{token}.unfinished")
    replaced = unfinished.with_suffix(".replaced")
    if has_one_writer:
        _clean(path, unfinished, replaced)
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
    if path.is_dir():
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


def write_json(path: Path, value: object, *, is_durable: bool = True) -> None:
    """Puts ``value`` as JSON in the place of the file at ``path``; see :func:`write_text`."""
    write_text(path, dumps(value, indent=2) + "\n", is_durable=is_durable)


def read_json(path: Path) -> dict[str, Any] | None:
    """Returns the mapping in the JSON file at ``path``, None where there is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    value: dict[str, Any] = json.loads(text)
    return value


def append_line(path: Path, line: str) -> None:
    """Appends one line in one write; a line that a crash has cut short before it stays apart."""
    with path.open("a+b", buffering=0) as file:
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
        """Returns whether the lock could be had within ``wait_s`` seconds."""
        deadline = time.monotonic() + wait_s
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
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

    def release(self) -> None:
        """Gives the lock back; without having it this does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def owner(self) -> str:
        """Returns who took the lock last, as words."""
        try:
            owner = read_json(self.path)
        except (OSError, ValueError):
            owner = None
        if not owner:
            return "another process"
        return f"process {owner.get('pid')} on {owner.get('host')}"

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
