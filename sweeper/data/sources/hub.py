"""Data from the Hugging Face Hub, or from a folder in the Hub's layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from sweeper import _environment
from sweeper.data.reading.folders import Layout, layout_of, split_rows
from sweeper.data.reading.loading import load_all, rows_of
from sweeper.data.reading.places import (
    UNPACKED,
    data_path,
    digest_files,
    unread_message,
    what_is_at,
)
from sweeper.data.reading.rows import Row
from sweeper.data.sources.changes import Changes
from sweeper.data.sources.rows import AS_WRITTEN, Found, RowDataSpec
from sweeper.errors import DataError, MissingError

if TYPE_CHECKING:
    from datasets import DatasetDict

__all__ = ["HubDataSpec"]

_CORRECT = "correct the folder's files"
_NAME = (
    "files of a split have its name in theirs, such as train-00000.csv, or lie in a folder of that "
    "name, and all have one format; rename or convert them, or name them in the folder's README.md"
)


class HubDataSpec(RowDataSpec):
    """A data set of the Hub by name, or a local folder that ``datasets`` can read.

    Splits that the data set does not have are taken from its training rows. Which file of a local
    folder is of which split follows from its name or its folder's. CSV, TSV and JSON files, also
    packed ones (.gz, .bz2, .xz), are read as they are written, without guessing types: ``NA``,
    ``00012`` and ``1e5`` stay what they are.
    """

    kind: Literal["hub"] = "hub"
    """``datasets`` loads the data."""
    name: str = Field(min_length=1)
    """``owner/name`` on the Hub, or a folder; all its files have one format and the same fields."""
    revision: str = "main"
    """Branch, tag or commit. Only a commit guarantees that a repeated trial uses the same rows."""
    subset: str | None = None
    """Name of the data set's configuration if it has several."""
    train_split: str = "train"
    """Name of the training split."""
    validation_split: str = "validation"
    """Name of the validation split; if there is none, it is taken from the training rows."""
    test_split: str = "test"
    """Name of the test split; if there is none, it is taken from the training rows."""

    def require_available(self) -> None:
        """Looks whether the data can be had, without asking the Hub.

        Raises:
            MissingError: ``datasets`` is not installed, or the Hub is switched off and the data
                is not in its cache.
            DataError: ``name`` is a file, or cannot be a folder.
        """
        if find_spec("datasets") is None:
            raise MissingError(
                "the package datasets is not installed; data of kind hub needs it; "
                "run: pip install 'datasets>=5.2'"
            )
        if self._folder() is not None or not _environment.is_hub_offline():
            return
        from huggingface_hub.constants import HF_HUB_CACHE

        cached = Path(HF_HUB_CACHE) / f"datasets--{self.name.replace('/', '--')}" / "snapshots"
        if not cached.is_dir():
            raise MissingError(
                f"the data set {self.name[:200]} is not in the Hub's cache ({HF_HUB_CACHE}) and "
                f"HF_HUB_OFFLINE forbids downloading it; {self._how_to_get()}"
            )

    def examined(self) -> tuple[str, tuple[str, ...]]:
        """Returns a hash that stands for the content, without asking the Hub, and warnings.

        Of a local folder it is the SHA-256 of its files; of a data set on the Hub, of its name and
        revision, so pin a commit where the content matters. Warnings are of a folder only.

        Raises:
            DataError: a row of a local folder cannot be read.
        """
        digest = hashlib.sha256()
        self._digest_format(digest)
        folder = self._folder()
        if folder is None:
            digest.update(f"{self.name}\0{self.subset}\0{self.revision}".encode())
            return digest.hexdigest(), ()
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        digest_files(digest, ((str(path.relative_to(folder)), path) for path in files))
        read = self.read()
        if read.is_anew:
            digest.update(AS_WRITTEN)
        return digest.hexdigest(), read.warnings

    def splits_there(self) -> tuple[str, ...]:
        """Returns the splits of a data set on the Hub.

        Raises:
            MissingError: it cannot be had.
            DataError: it cannot be read.
        """
        return tuple(self._dataset())

    def split_rows(self, split: str) -> Iterator[tuple[str, Row]]:
        """Yields the rows of a split of a data set on the Hub; errors are as above."""
        rows = rows_of(self._dataset()[split], name=self._called(), remedy=self._how_to_get())
        yield from ((f"{self.name}, {split} row {n}", row) for n, row in enumerate(rows))

    def _dataset(self) -> DatasetDict:
        self.require_available()
        place = {"path": self.name, "name": self.subset, "revision": self.revision}
        return load_all(place, name=self._called(), remedy=self._how_to_get())

    def _found(self) -> Found:
        self.require_available()
        folder = self._folder()
        if folder is None:
            place = {"path": self.name, "name": self.subset, "revision": self.revision}
            return self._of_datasets(place, (), remedy=self._how_to_get())
        layout = layout_of(folder, subset=self.subset, remedy=_CORRECT)
        if layout.is_text:
            found = self._of_text(layout)
        else:
            files = tuple(path for paths in layout.files.values() for path in paths)
            place = {"path": str(folder), "name": self.subset}
            found = self._of_datasets(place, files, remedy=_CORRECT)
        if layout.unread:
            warning = unread_message(folder, layout.unread, remedy=_NAME)
            found = replace(found, warnings=(*found.warnings, warning))
        return found

    def _of_datasets(self, place: dict[str, Any], files: tuple[Path, ...], *, remedy: str) -> Found:
        """Returns the rows of what ``datasets`` loads from the Hub, or from other than text."""
        dataset = load_all(place, name=self._called(), remedy=remedy)
        wanted = self._wanted(dataset)
        changes = Changes(self.format.fields(), self.format.templates(), is_table=_is_table(files))
        examples = {}
        for name, split in wanted.items():
            rows = rows_of(dataset[split], name=self._called(), remedy=remedy)
            numbered = ((f"{self.name}, {split} row {n}", row) for n, row in enumerate(rows))
            examples[name] = self._examples(numbered, changes)
        places = dict.fromkeys(wanted, self.name)
        return Found(examples, places, self._unused(dataset), changes.are_there)

    def _of_text(self, layout: Layout) -> Found:
        """Returns the rows of a folder's text files.

        Raises:
            DataError: a row cannot be read, or the splits have different fields.
        """
        wanted = self._wanted(layout.files)
        rows = {name: split_rows(split, layout.files) for name, split in wanted.items()}
        places = {name: ", ".join(map(str, layout.files[wanted[name]][:3])) for name in wanted}
        _require_same_fields(rows, places)
        changes = {
            name: Changes(
                self.format.fields(),
                self.format.templates(),
                is_table=_is_table(layout.files[split]),
            )
            for name, split in wanted.items()
        }
        examples = {name: self._examples(found, changes[name]) for name, found in rows.items()}
        # Earlier versions left the numbers of packed JSON to Arrow, which guesses their types.
        is_anew = any(change.are_there for change in changes.values()) or any(
            path.suffix.lower() in UNPACKED and not _is_table([path])
            for split in wanted.values()
            for path in layout.files[split]
        )
        return Found(examples, places, self._unused(layout.files), is_anew)

    def _wanted(self, splits: Iterable[str]) -> dict[str, str]:
        """Returns the names of the splits that are there, by what they are for."""
        there = list(splits)
        if self.train_split not in there:
            raise DataError(
                f"{self.name} has no split {self.train_split!r}; its splits are "
                f"{', '.join(there)}; name one of them in data.train_split"
            )
        wanted = {
            "train": self.train_split,
            "validation": self.validation_split,
            "test": self.test_split,
        }
        return {name: split for name, split in wanted.items() if split in there}

    def _unused(self, splits: Iterable[str]) -> tuple[str, ...]:
        """Returns a sentence on the splits that are there and not read, where there are some."""
        there = list(splits)
        used = set(self._wanted(there).values())
        others = ", ".join(name for name in there if name not in used)
        if not others:
            return ()
        return (
            f"{self.name}: the splits {others} are not read; name one of them in "
            "data.validation_split or data.test_split",
        )

    def _folder(self) -> Path | None:
        """Returns the folder that ``name`` is; None where it is a name on the Hub."""
        path = data_path(self.name)
        try:
            at = what_is_at(path)
        except DataError:
            # No name on the Hub begins so; any other one may happen to be that of a device.
            if self.name.startswith(("/", ".", "~")):
                raise
            return None
        if at == "folder":
            return path
        if at == "file" or path.is_absolute():
            what = "is a file" if at == "file" else "does not exist"
            raise DataError(
                f"{str(path)[:200]} {what}; data of kind hub is a folder, or a name on the Hub "
                "such as owner/name; name the folder, or use data.kind: jsonl for a file"
            )
        return None

    def _called(self) -> str:
        subset = "" if self.subset is None else f", subset {self.subset}"
        return f"{self.name[:200]} (revision {self.revision}{subset})"

    def _how_to_get(self) -> str:
        return f"run: hf download --repo-type dataset --revision {self.revision} {self.name[:200]}"


def _is_table(files: Iterable[Path]) -> bool:
    return any({".csv", ".tsv"} & set(path.suffixes) for path in files)


def _require_same_fields(
    rows: Mapping[str, Sequence[tuple[str, Row]]], places: Mapping[str, str]
) -> None:
    """Raises DataError where a split has other fields than the training rows: it is a table."""
    fields = {name: set(found[0][1]) for name, found in rows.items() if found}
    for name, own in fields.items():
        other = fields.get("train", own)
        if own != other:
            extra, lacking = sorted(own - other), sorted(other - own)
            what = f"have the field {extra[0]!r}" if extra else f"lack the field {lacking[0]!r}"
            than = "do not have" if extra else "have"
            raise DataError(
                f"{places[name]}: its rows {what}, which those of {places['train']} {than}; all "
                "splits of a data set of kind hub have the same fields; correct the files, or use "
                "data.kind: jsonl, which reads each row by itself"
            )
