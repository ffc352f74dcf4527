"""Where data lies on this machine: what a path leads to, and which files of a folder are not read.

Whatever the system says of a path (no such user, a name that is too long, a device) becomes a
:class:`~sweeper.errors.DataError` here.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

from sweeper._text import listed
from sweeper.errors import DataError

__all__ = [
    "UNPACKED",
    "Digest",
    "data_path",
    "digest_files",
    "open_text",
    "pointer_message",
    "require_file",
    "unread_files",
    "unread_message",
    "what_is_at",
]

# How the small text file begins that Git LFS puts in the place of a large one.
_LFS_HEAD = b"version https://git-lfs.github.com/spec/"
UNPACKED: Mapping[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
"""What opens a packed file as what is in it, by its suffix."""

_READ_BYTES = 1 << 20
# What holds rows, packed or not; other files beside them (a card, a licence) are no data.
_TEXT = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".xml")
_DATA = frozenset((*_TEXT, ".xls", ".xlsx", ".parquet", ".arrow", ".feather"))
_PACKED = frozenset([".gz", ".zst", ".bz2", ".xz", ".zip", ".lz4"])
# Files of a data set that are about it.
_ABOUT = frozenset(
    (
        *("dataset_dict.json", "dataset_info.json", "dataset_infos.json", "state.json"),
        "requirements.txt",
    )
)
# A folder that happens to hold much else is not walked to its end.
_MOST_SEEN, _MOST_NAMED = 5000, 5


class Digest(Protocol):
    """What hashes bytes, as :mod:`hashlib` makes it."""

    def update(self, data: bytes, /) -> None:
        """Adds bytes."""


def data_path(text: str, *, root: Path | None = None) -> Path:
    """Returns the path that a spec names.

    Args:
        text: what it says; ``~`` is the user's home.
        root: what a relative path starts from; the current folder where None.

    Raises:
        DataError: there is no such user, or nothing can have such a name.
    """
    try:
        path = Path(text).expanduser()
        # A NUL and a lone surrogate are in no file's name.
        if "\0" in text:
            raise ValueError("it has a NUL character")
        os.fsencode(text)
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"{text[:80]!r} cannot be a path of data: {error}; write the path out, from / on or "
            "relative to the current folder"
        ) from error
    return path if root is None else root / path


def what_is_at(path: Path) -> Literal["file", "folder", "nothing"]:
    """Returns what a path leads to, links followed.

    Raises:
        DataError: it is a FIFO, a device or a socket, or the system does not let us look.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    except (OSError, ValueError) as error:
        raise DataError(
            f"{_short(path)} cannot be looked at: {_reason(error)}; data must be files that can be "
            "read; correct the path or its permissions"
        ) from error
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    raise DataError(
        f"{_short(path)} is a {_kind(mode)}; data is read from regular files, more than once; copy "
        "what it gives into a file"
    )


def require_file(
    path: Path, *, needed: str = "a file with rows", remedy: str = "correct the path"
) -> None:
    """Looks whether a path is a regular file that can be read.

    Args:
        path: to look at.
        needed: what the file is for, for the message.
        remedy: what to do where it is none.

    Raises:
        DataError: it is not.
    """
    found = what_is_at(path)
    if found != "file":
        what = "is a folder" if found == "folder" else "does not exist"
        raise DataError(f"{_short(path)} {what}; {needed} is needed; {remedy}")
    try:
        message = pointer_message(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {_reason(error)}; correct its permissions"
        ) from error
    if message:
        raise DataError(message)


def pointer_message(path: Path) -> str:
    """Returns what to say of the pointer that Git LFS leaves where a file was not fetched.

    Empty where the file is none.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_LFS_HEAD)) != _LFS_HEAD:
            return ""
    return (
        f"{path} is a Git LFS pointer, a text file in the place of the real one; the real file "
        f"was not fetched; run: git -C {path.parent} lfs pull"
    )


def open_text(path: Path, *, newline: str | None = None) -> TextIO:
    """Returns a file open as UTF-8 text, unpacked where its suffix says that it is packed.

    A byte-order mark, with which some editors begin a file, is no part of the text.

    Args:
        path: of the file.
        newline: as of :func:`open`.
    """
    opened = UNPACKED.get(path.suffix.lower(), open)
    file: TextIO = opened(path, "rt", encoding="utf-8-sig", newline=newline)
    return file


def digest_files(digest: Digest, files: Iterable[tuple[str, Path]]) -> None:
    """Adds files to a digest: the name that each has there, its size and its bytes.

    Raises:
        DataError: one of them cannot be read.
    """
    for name, path in files:
        require_file(path)
        try:
            digest.update(f"{name}\0{path.stat().st_size}\0".encode("utf-8", "surrogateescape"))
            with path.open("rb") as file:
                while block := file.read(_READ_BYTES):
                    digest.update(block)
        except OSError as error:
            raise DataError(
                f"{path} cannot be read: {_reason(error)}; correct it or its permissions"
            ) from error


def unread_files(folder: Path, *, read: Collection[Path]) -> tuple[Path, ...]:
    """Returns the files of a folder and its sub-folders that hold data by their names, sorted.

    Args:
        folder: where to look.
        read: files that are read, and so are not among them.
    """
    known = {path.resolve() for path in read}
    found = islice(_walk(folder), _MOST_SEEN)
    return tuple(sorted(path for path in found if _is_data(path) and path.resolve() not in known))


def unread_message(folder: Path, unread: Collection[Path], *, remedy: str) -> str:
    """Returns the sentence that names files that are not read.

    Args:
        folder: where they are.
        unread: at least one.
        remedy: what to do so that they are.
    """
    names = [str(path.relative_to(folder)) for path in sorted(unread)]
    found = listed(names, most=_MOST_NAMED, is_counted=True)
    return f"{folder}: not read: {found}; {remedy}"


def _walk(folder: Path) -> Iterator[Path]:
    # An error of one sub-folder is not this one's.
    for place, folders, files in os.walk(folder, onerror=None):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))


def _is_data(path: Path) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        return True
    return path.name.lower() not in _ABOUT and bool(suffixes) and suffixes[-1] in _DATA


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 200 else f"{text[:90]}…{text[-90:]}"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
