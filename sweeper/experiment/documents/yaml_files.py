"""Reading the files of documents: whatever they are, they become a mapping or a message."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sweeper._text import nearest, shorten
from sweeper.errors import Problem, SpecError
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.documents.yaml_text import parse_yaml

__all__ = ["is_file", "parse_yaml", "read_yaml"]

MOST_BYTES = 2**19
"""The largest file that is read: a list of some thousand trials."""


def read_yaml(path: Path) -> Document:
    """Returns the mapping in the YAML file at ``path``.

    Only an ordinary file is opened: a pipe or a device may never end.

    Raises:
        SpecError: no such file, not a text, not YAML, or not a mapping.
    """
    tree = parse_yaml(_read_text(path), source=str(path))
    if not isinstance(tree, dict):
        kind = {list: "a list", type(None): "nothing"}.get(type(tree), "a single value")
        message = f"holds {kind}, not a mapping of fields; write 'name: …' and so on"
        raise SpecError(str(path), [Problem("", message)])
    return tree


def is_file(path: Path) -> bool:
    """Returns whether there is an ordinary file; a path that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _read_text(path: Path) -> str:
    try:
        content = _read_bytes(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        message = f"cannot be read: {shorten(reason)}{_near(path)}"
        raise SpecError(str(path), [Problem("", message)]) from error
    try:
        # Windows puts a mark before a text; it is no part of it.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"has the byte {content[error.start]:#04x}, which is not UTF-8; save it as UTF-8"
        raise SpecError(str(path), [Problem(f"line {line}", message)]) from error


def _read_bytes(path: Path) -> bytes:
    # Opening a pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            is_folder = stat.S_ISDIR(status.st_mode)
            raise ValueError(f"it is {'a folder' if is_folder else 'a pipe or a device'}")
        if status.st_size > MOST_BYTES:
            raise ValueError(f"it has {status.st_size:,} bytes; at most {MOST_BYTES:,} are read")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MOST_BYTES)
    finally:
        os.close(descriptor)


def _near(path: Path) -> str:
    try:
        found = [near.name for near in path.parent.glob("*.y*ml")]
    except (OSError, ValueError):
        return ""
    return nearest(path.name, found) or "; name a file of YAML that can be read"
