"""Data from local JSON-lines files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from sweeper import _environment
from sweeper.data.examples import Example, Splits
from sweeper.data.formats import Format
from sweeper.data.sources.rows import RowDataSpec, no_rows
from sweeper.errors import DataError, MissingError

__all__ = ["JsonlDataSpec"]

_READ_BYTES = 1 << 20


class JsonlDataSpec(RowDataSpec):
    """A folder with ``train.jsonl`` and, optionally, ``validation.jsonl`` and ``test.jsonl``.

    Missing splits are taken from the training rows, both of them if ``path`` is a single file.
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
            if not _rows(path, self.format, at_most=1):
                raise DataError(no_rows(name, source=str(path)))

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the files' names and bytes."""
        digest = hashlib.sha256()
        for name, path in self._files().items():
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(_READ_BYTES):
                    digest.update(block)
        return digest.hexdigest()

    def load(self) -> Splits:
        """Returns the examples of all rows, or as many as the limits allow.

        Raises:
            MissingError: there is no such folder or file.
            DataError: a row cannot be read, or a split has no row.
        """
        files = self._files()
        found = {name: _rows(path, self.format) for name, path in files.items()}
        return self._complete(found, source={name: str(path) for name, path in files.items()})

    def _files(self) -> dict[str, Path]:
        """Returns the files that are there, by split; ``train`` is always among them."""
        path = Path(self.path).expanduser()
        root = _environment.data_root()
        if root is not None and not path.is_absolute():
            path = root / path
        if path.is_file():
            return {"train": path}
        train = path / "train.jsonl"
        if train.is_file():
            names = ("train", "validation", "test")
            found = {name: path / f"{name}.jsonl" for name in names}
            return {name: file for name, file in found.items() if file.is_file()}
        what = f"{path} has no train.jsonl" if path.is_dir() else f"{path} does not exist"
        message = (
            f"no data: {what}; data.path must be a .jsonl file, or a folder with train.jsonl "
            "(and, optionally, validation.jsonl and test.jsonl); "
        )
        if Path(self.path).is_absolute():
            raise MissingError(message + "correct it, or run with --set data.path=FOLDER")
        if root is None:
            raise MissingError(
                message + f"set where {self.path} is: export SWEEPER_DATA=FOLDER_THAT_CONTAINS_IT"
            )
        raise MissingError(
            message + f"SWEEPER_DATA is {root}: set it to the folder that contains {self.path}"
        )


def _rows(path: Path, row_format: Format, *, at_most: int | None = None) -> tuple[Example, ...]:
    examples = []
    with path.open(encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    where = f"{path}:{number}"
                    examples.append(row_format.read(_row(line, where=where), where=where))
                    if len(examples) == at_most:
                        break
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); JSON lines are "
                "UTF-8; convert the file"
            ) from error
    return tuple(examples)


def _row(line: str, *, where: str) -> dict[str, object]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not JSON ({error.msg} at column {error.colno}); each line must be one "
            "JSON object; correct the line"
        ) from error
    if not isinstance(row, dict):
        raise DataError(
            f"{where}: the line is a JSON {type(row).__name__}; each line must be one JSON object "
            "with a row's fields; rewrite the file, one object a line"
        )
    return row
