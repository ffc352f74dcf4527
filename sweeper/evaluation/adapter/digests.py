"""Hashes of an adapter's files, kept beside its folder: the files are those that were written.

Names, shapes and dtypes are those of the trial also where a disk has lost blocks of the values, or
where somebody has put another trial's adapter there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from sweeper._files import read_bytes, write_text
from sweeper.errors import DamagedFileError

__all__ = ["check_digests", "forget_digests", "note_digests"]

DIGESTS_FILE = "adapter.sha256"
"""Name of the file beside an adapter's folder with the hashes of its files."""

_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<folder>[^/\n]+)/(?P<name>[^/\n]+)")


def note_digests(folder: Path) -> None:
    """Notes the hashes of an adapter's files, as ``sha256sum`` writes and checks them.

    Args:
        folder: of an adapter that is written whole.
    """
    lines = [
        f"{_digest(path)}  {folder.name}/{path.name}\n"
        for path in sorted(folder.iterdir())
        if path.is_file()
    ]
    write_text(_file_of(folder), "".join(lines))


def forget_digests(folder: Path) -> None:
    """Removes what is noted of an adapter, which is about to be replaced."""
    _file_of(folder).unlink(missing_ok=True)


def check_digests(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yields each file of an adapter that is not as it was noted, and what is wrong with it.

    Of an adapter of an earlier version nothing is noted.

    Args:
        folder: of an adapter.
    """
    try:
        content = read_bytes(_file_of(folder))
        text = "" if content is None else content.decode()
    except (DamagedFileError, UnicodeDecodeError):
        return
    for line in filter(None, map(_LINE.fullmatch, text.splitlines())):
        path = folder / line["name"]
        if path.is_file() and _digest(path) != line["digest"]:
            yield path, f"its bytes are not those that training wrote ({DIGESTS_FILE})"


def _file_of(folder: Path) -> Path:
    return folder.with_name(DIGESTS_FILE)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
