"""Data from local JSON-lines files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import Field

from sweeper import _environment
from sweeper._text import listed
from sweeper.data.reading.files import read_rows
from sweeper.data.reading.places import (
    data_path,
    digest_files,
    require_file,
    unread_files,
    unread_message,
    what_is_at,
)
from sweeper.data.reading.rows import Row, sound_rows
from sweeper.data.sources.changes import Changes
from sweeper.data.sources.rows import AS_WRITTEN, Found, RowDataSpec, no_rows
from sweeper.errors import DataError, MissingError

__all__ = ["JsonlDataSpec"]

# Names of a split's file, the first of which counts before the others. "eval" is not among them:
# some call the validation split so, and others the test split.
_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


_TABLES = frozenset((".csv", ".tsv", ".parquet", ".arrow", ".xlsx"))


class JsonlDataSpec(RowDataSpec):
    """A folder with ``train.jsonl`` and, optionally, ``validation.jsonl`` and ``test.jsonl``.

    The validation file may be called ``valid``, ``val`` or ``dev``, too. Other files with data in
    the folder are not read, which a warning says. Missing splits are taken from the training rows,
    both of them if ``path`` is a single file, which may be packed (.gz, .bz2, .xz).
    """

    kind: Literal["jsonl"] = "jsonl"
    """The data is in local files."""
    path: str = Field(min_length=1)
    """Folder or file. A relative path is resolved against ``SWEEPER_DATA`` if set, else against the
    current folder."""

    def require_available(self) -> None:
        """Looks whether the files are there and the first row of each can be read.

        Raises:
            MissingError: there is no such folder or file.
            DataError: a file is empty, or its first row does not fit the format.
        """
        for name, path in self._files().items():
            if not self._examples(islice(_rows(path), 1)):
                raise DataError(no_rows(name, source=str(path)))

    def examined(self) -> tuple[str, tuple[str, ...]]:
        """Returns the SHA-256 of the files' names and bytes, and warnings.

        Raises:
            MissingError: there is no such folder or file.
            DataError: a row cannot be read.
        """
        digest = hashlib.sha256()
        digest_files(digest, self._files().items())
        self._digest_format(digest)
        read = self.read()
        if read.is_anew:
            digest.update(AS_WRITTEN)
        return digest.hexdigest(), read.warnings

    def _found(self) -> Found:
        files = self._files()
        changes = Changes(self.format.fields(), self.format.templates())
        examples = {name: self._examples(_rows(path), changes) for name, path in files.items()}
        places = {name: str(path) for name, path in files.items()}
        return Found(examples, places, self._unread(files), changes.are_there)

    def _unread(self, files: Mapping[str, Path]) -> tuple[str, ...]:
        """Returns a sentence on files with data that are not read, where there are some."""
        path = self._path()
        if path.is_dir():
            folder, unread = path, unread_files(path, read=files.values())
            remedy = (
                "data of kind jsonl is read from train.jsonl, validation.jsonl and test.jsonl; "
                "rename or convert what should be read, or use data.kind: hub for the folder"
            )
        else:
            folder, unread = path.parent, _splits_beside(path)
            remedy = (
                "data.path is a single file, from which all splits are taken; to read these, too, "
                f"set data.path to the folder {path.parent}, with the training rows in train.jsonl"
            )
        return (unread_message(folder, unread, remedy=remedy),) if unread else ()

    def _path(self) -> Path:
        return data_path(self.path, root=_environment.data_root())

    def _files(self) -> dict[str, Path]:
        """Returns the files that are there, by split; ``train`` is always among them."""
        path = self._path()
        at = what_is_at(path)
        if at == "file":
            _require_lines(path)
            return {"train": path}
        found = _split_files(path) if at == "folder" else {}
        if "train" in found:
            for file in found.values():
                require_file(file)
            return found
        raise MissingError(self._missing(path, is_folder=at == "folder"))

    def _missing(self, path: Path, *, is_folder: bool) -> str:
        what = f"{path} does not exist"
        if is_folder:
            what = f"{path} has no train.jsonl"
            if others := unread_files(path, read=()):
                what += f", only {listed([str(x.relative_to(path)) for x in others], most=5)}"
        message = (
            f"no data: {what}; data.path must be a .jsonl file, or a folder with train.jsonl "
            "(and, optionally, validation.jsonl and test.jsonl); "
        )
        root = _environment.data_root()
        if Path(self.path).is_absolute() or is_folder:
            return message + "correct it, or run with --set data.path=FOLDER"
        if root is None:
            return (
                message + f"set where {self.path} is: export SWEEPER_DATA=FOLDER_THAT_CONTAINS_IT"
            )
        return message + f"SWEEPER_DATA is {root}: set it to the folder that contains {self.path}"


def _require_lines(path: Path) -> None:
    """Raises DataError where a file's name says that it is a table; any other may hold lines."""
    if path.suffix.lower() in _TABLES:
        raise DataError(
            f"{path} is a table by its name; data of kind jsonl is JSON lines; use data.kind: hub "
            f"with data.name: {path.parent}, which reads a folder of tables"
        )


def _splits_beside(path: Path) -> tuple[Path, ...]:
    """Returns the files beside a file that have the name of a validation or test split."""
    names = {*_NAMES["validation"], *_NAMES["test"]}
    there = path.parent.glob("*.[jJ][sS][oO][nN][lL]")
    return tuple(sorted(x for x in there if x != path and x.stem.lower() in names))


def _split_files(folder: Path) -> dict[str, Path]:
    """Returns the file of each split that has one.

    Raises:
        DataError: two files are of one split, and neither has its name.
    """
    there = {path.name: path for path in sorted(folder.glob("*.[jJ][sS][oO][nN][lL]"))}
    found = {}
    for split, names in _NAMES.items():
        own = [there[f"{split}.jsonl"]] if f"{split}.jsonl" in there else []
        other = [path for path in there.values() if path.stem.lower() in names]
        if len(own or other) > 1:
            raise DataError(
                f"{folder}: {' and '.join(path.name for path in other)} could each be the {split} "
                f"split; one file is read for it; call that one {split}.jsonl"
            )
        if own or other:
            found[split] = (own or other)[0]
    return found


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Returns the rows of a file of JSON lines, whatever its name."""
    return sound_rows(read_rows(path, suffix=".jsonl"))
