"""Data from rows: of files in any of the known types, or of the Hub."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from sweeper import _environment
from sweeper.data.examples import Example
from sweeper.data.formats import TextFormat
from sweeper.data.reading.files import read_rows, text_rows, text_suffix
from sweeper.data.reading.places import (
    data_path,
    digest_files,
    require_file,
    unread_files,
    unread_message,
    what_is_at,
)
from sweeper.data.reading.rows import ReadRow, Row, sound_rows
from sweeper.data.sources.hub import HubDataSpec
from sweeper.data.sources.rows import Found, RowDataSpec, no_rows
from sweeper.data.sources.split_files import NAMES, entry_files, split_files
from sweeper.data.splitting import sample, share_counts
from sweeper.errors import DataError, MissingError

__all__ = ["RowsDataSpec"]

# Rows of a file that are read before anything starts.
_TRIED_ROWS = 20


class RowsDataSpec(RowDataSpec):
    """Rows of a file, of a folder, of several files, or of a data set on the Hub.

    Files are JSON lines (``.jsonl``, ``.ndjson``), JSON (``.json``), CSV, TSV, Parquet, Arrow, or
    text (``.txt``), each also packed (``.gz``, ``.bz2``, ``.xz``); a folder may also be one that
    ``save_to_disk`` has written. Which file is of which split follows from its name, unless
    ``train``, ``validation`` and ``test`` say so. Missing splits are taken from the training rows.
    Cells of CSV and TSV are text as they are written. A field that some rows of a file lack is
    empty there. The kinds ``jsonl`` and ``hub`` are earlier
    spellings: what they read is read in the same way, under the names that their trials have.
    """

    kind: Literal["rows"] = "rows"
    """The data is made of rows."""
    path: str = ""
    """File or folder. A relative path is resolved against ``SWEEPER_DATA`` if set, else against the
    current folder, which an empty one is."""
    hub: str = ""
    """``owner/name`` of a data set on the Hub, in the place of ``path``."""
    revision: str = "main"
    """Branch, tag or commit on the Hub. Only a commit guarantees that a repeated trial uses the
    same rows."""
    subset: str | None = None
    """Name of the configuration of a data set on the Hub that has several."""
    train: tuple[str, ...] | dict[str, float] = ()
    """Files with training rows: paths in the folder, names without suffix, patterns such as
    ``part-*.parquet``, or sub-folders; on the Hub, names of splits. A list uses all rows of each. A
    mapping gives each one's share of the rows, and uses as many rows as possible without repeating
    any. Empty: those of the name ``train``."""
    validation: tuple[str, ...] = ()
    """The same of the validation rows; empty: those of the name ``validation``, ``valid``, ``val``
    or ``dev``."""
    test: tuple[str, ...] = ()
    """The same of the test rows; empty: those of the name ``test``."""

    @field_validator("train", "validation", "test", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("train")
    @classmethod
    def _shares_are_above_0(
        cls, value: tuple[str, ...] | dict[str, float]
    ) -> tuple[str, ...] | dict[str, float]:
        if isinstance(value, dict):
            for name, share in value.items():
                if not 0 < share < math.inf:
                    raise ValueError(
                        f"the share of {name!r} is {share!r}; it must be a number above 0; shares "
                        "need not sum to 1"
                    )
        return value

    @model_validator(mode="after")
    def _one_place(self) -> RowsDataSpec:
        if self.hub and self.path:
            raise ValueError(
                f"path is {self.path!r} and hub is {self.hub!r}; rows come from one place; remove "
                "one of them"
            )
        if not (self.hub or self.path or self.train):
            raise ValueError(
                "neither path nor hub is given; rows come from a file or folder (path) or from a "
                "data set on the Hub (hub: owner/name); give one of them"
            )
        if not self.hub and (self.subset is not None or self.revision != "main"):
            raise ValueError(
                "revision and subset are of data sets on the Hub; with path they say nothing; "
                "remove them, or name the data set in hub"
            )
        return self

    def require_available(self) -> None:
        """Looks whether the data is there and the first rows of each file can be read.

        Raises:
            MissingError: there is no such file, folder or data set.
            DataError: a file is empty, or one of its first rows does not fit the format.
        """
        if self.hub:
            self._on_hub().require_available()
            return
        for split, pools in self._files().items():
            for files in pools:
                for path in files:
                    if not self._tried(path, files):
                        raise DataError(no_rows(split, source=str(path)))

    def _tried(self, path: Path, files: Sequence[Path]) -> tuple[Example, ...]:
        """Returns the examples of a file's first rows.

        Raises:
            DataError: one of them does not fit the format.
        """
        rows = list(islice(self._rows((path,)), _TRIED_ROWS))
        try:
            return self._examples(_filled(rows))
        except DataError:
            # They may lack a field that a later row has, which is empty in them then.
            names = {name for _, row in rows for name in row}
            later = dict.fromkeys(name for _, row in self._rows(files) for name in row)
            if later.keys() <= names:
                raise
            return self._examples([(where, {**dict.fromkeys(later), **row}) for where, row in rows])

    def examined(self) -> tuple[str, tuple[str, ...]]:
        """Returns the SHA-256 of the files' names and bytes, and warnings.

        Of a data set on the Hub it is of its name and revision, so pin a commit where the content
        matters.

        Raises:
            MissingError: there is no such file or folder.
            DataError: a row cannot be read.
        """
        if self.hub:
            return self._on_hub().examined()
        return self.fingerprint(), self.read().warnings

    def fingerprint(self) -> str:
        """Returns what :meth:`examined` does, without reading the rows.

        Raises:
            MissingError: there is no such file or folder.
            DataError: a file cannot be read.
        """
        if self.hub:
            return self._on_hub().fingerprint()
        digest = hashlib.sha256()
        self._digest_format(digest)
        for split, pools in self._files().items():
            digest.update(f"{split}\0".encode())
            digest_files(digest, ((path.name, path) for files in pools for path in files))
        return digest.hexdigest()

    def first_rows(self, count: int = 100) -> list[Row]:
        """Returns the first training rows as they are; :func:`sweeper.data.recognise` takes them.

        Args:
            count: most rows, at least 1.

        Raises:
            MissingError: the data is not there.
            DataError: a row cannot be read.
        """
        if self.hub:
            names = self._hub_entries(self._on_hub().splits_there())["train"]
            rows = (row for name in names for row in self._on_hub().split_rows(name))
        else:
            files = (path for own in self._files()["train"] for path in own)
            rows = (row for path in files for row in self._rows((path,)))
        return [row for _, row in islice(rows, count)]

    def _found(self) -> Found:
        if self.hub:
            return self._of_hub()
        pools = self._files()
        examples = {
            split: self._mixed([self._examples(_filled(self._rows(files))) for files in own], split)
            for split, own in pools.items()
        }
        places = {
            split: ", ".join(str(path) for files in own for path in files[:3])
            for split, own in pools.items()
        }
        return Found(examples, places, self._unread(pools))

    def _hub_entries(self, splits: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Returns the splits of the Hub that each split is made of.

        Raises:
            DataError: one of them is not there, or none is for training.
        """
        entries = {
            split: names or tuple(name for name in NAMES[split] if name in splits)[:1]
            for split, names in self._named().items()
        }
        missing = [name for names in entries.values() for name in names if name not in splits]
        if missing or not entries["train"]:
            raise DataError(
                f"{self.hub} has no split {', '.join(missing) or 'train'}; its splits are "
                f"{', '.join(splits)}; name one of them in data.train"
            )
        return entries

    def _of_hub(self) -> Found:
        splits = self._on_hub().splits_there()
        entries = self._hub_entries(splits)
        examples = {
            split: self._mixed(
                [self._examples(self._on_hub().split_rows(name)) for name in names], split
            )
            for split, names in entries.items()
            if names
        }
        unused = [s for s in splits if not any(s in names for names in entries.values())]
        warning = (
            f"{self.hub}: the splits {', '.join(unused)} are not read; name them in data.train, "
            "data.validation or data.test"
        )
        places = dict.fromkeys(examples, self.hub)
        return Found(examples, places, (warning,) if unused else ())

    def _named(self) -> dict[str, tuple[str, ...]]:
        """Returns what is named for each split; a mapping sorted, since its order says nothing."""
        train = tuple(sorted(self.train)) if isinstance(self.train, dict) else self.train
        return {"train": train, "validation": self.validation, "test": self.test}

    def _on_hub(self) -> HubDataSpec:
        return HubDataSpec(
            name=self.hub, revision=self.revision, subset=self.subset, format=self.format
        )

    def _mixed(self, pools: Sequence[tuple[Example, ...]], split: str) -> tuple[Example, ...]:
        """Returns the examples of several files as one, each file with its share of the rows."""
        if split == "train" and isinstance(self.train, dict):
            shares = [self.train[name] for name in self._named()["train"]]
            counts = share_counts([len(pool) for pool in pools], shares, None)
            pools = [sample(p, n, seed=self.seed) for p, n in zip(pools, counts, strict=True)]
        return tuple(example for pool in pools for example in pool)

    def _files(self) -> dict[str, list[tuple[Path, ...]]]:
        """Returns the files of each split that has some, by what names them.

        Raises:
            MissingError: there are none.
            DataError: it cannot be told which ones are of a split.
        """
        folder = data_path(self.path, root=_environment.data_root())
        at = what_is_at(folder)
        named = self._named()
        if at == "nothing":
            raise MissingError(self._missing(folder))
        if at == "file":
            return self._of_one_file(folder, named)
        found = {
            split: [entry_files(folder, entry) for entry in entries]
            for split, entries in named.items()
            if entries
        }
        known = {split: [x for own in pools for x in own] for split, pools in found.items()}
        found |= {split: [files] for split, files in split_files(folder, known).items()}
        for path in (path for pools in found.values() for files in pools for path in files):
            require_file(path)
        return found

    def _of_one_file(
        self, path: Path, named: Mapping[str, tuple[str, ...]]
    ) -> dict[str, list[tuple[Path, ...]]]:
        if given := [split for split, entries in named.items() if entries]:
            raise DataError(
                f"data.path is the file {path} and data.{given[0]} names others; one file is all "
                f"of the training rows; set data.path to the folder {path.parent}"
            )
        require_file(path)
        return {"train": [(path,)]}

    def _missing(self, path: Path) -> str:
        root = _environment.data_root()
        message = f"no data: {path} does not exist; data.path must be a file or a folder with rows"
        if self.path.count("/") == 1 and not Path(self.path).is_absolute():
            message += f"; a data set on the Hub is data.hub: {self.path}"
        if Path(self.path).is_absolute():
            return f"{message}; correct it, or run with --set data.path=FOLDER"
        if root is None:
            return f"{message}; correct it, or export SWEEPER_DATA=FOLDER_THAT_CONTAINS_IT"
        return f"{message}; SWEEPER_DATA is {root}: set it to the folder that contains {self.path}"

    def _rows(self, files: Sequence[Path]) -> Iterator[tuple[str, Row]]:
        """Yields the rows of some files.

        Raises:
            DataError: one cannot be read.
        """
        for path in files:
            yield from sound_rows(self._read(path))

    def _read(self, path: Path) -> Iterator[ReadRow]:
        if text_suffix(path) != ".txt":
            return read_rows(path)
        parted_by = self.format.parted_by if isinstance(self.format, TextFormat) else "line"
        return text_rows(path, parted_by=parted_by)

    def _unread(self, pools: Mapping[str, list[tuple[Path, ...]]]) -> tuple[str, ...]:
        """Returns a sentence on files with data that are not read, where there are some."""
        folder = data_path(self.path, root=_environment.data_root())
        if not folder.is_dir() or not self.path:
            return ()
        read = [path for own in pools.values() for files in own for path in files]
        unread = unread_files(folder, read=read)
        remedy = "name them in data.train, data.validation or data.test, or rename them"
        return (unread_message(folder, unread, remedy=remedy),) if unread else ()


def _filled(rows: Iterable[tuple[str, Row]]) -> list[tuple[str, Row]]:
    """Returns rows that all have the fields that one of them has."""
    found = list(rows)
    names = dict.fromkeys(name for _, row in found for name in row)
    return [(where, dict.fromkeys(names) | dict(row)) for where, row in found]
