"""What a task is, and the one loader that reads its rows from files or from the Hub."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sweeper import _environment
from sweeper.data.examples import Example
from sweeper.data.hub_source import HubSource, Split
from sweeper.data.reading import ReadRow, Row, read_rows
from sweeper.data.splitting import split_off
from sweeper.errors import DataError, MissingError

__all__ = ["Files", "Loaded", "Task"]

_READ_BYTES = 1 << 20
# More rows than this share that cannot be examples mean another format, not a few bad rows.
_MOST_REFUSED = 0.1


@dataclass(frozen=True)
class Files:
    """Local files of one split."""

    pattern: str
    """Pattern of their paths below the data root, such as ``mmlu/test/*_test.csv``."""
    columns: tuple[str, ...] = ()
    """Names of the columns of CSV files without a header."""


@dataclass(frozen=True)
class Loaded:
    """The rows of one split, read."""

    examples: tuple[Example, ...]
    refused: tuple[str, ...] = ()
    """Of each row that cannot be an example, where it is and why."""


@dataclass(frozen=True)
class Task:
    """A task by name: where its rows are, how one becomes a prompt and an answer, what scores it.

    Rows come from the files of ``files`` below the data root; where those are not there, from a
    folder below it that is named as on the Hub (``<root>/<owner>/<name>``); and where there is no
    data root at all, from the Hub.
    """

    name: str
    """What specs call it."""
    summary: str
    """One line: what is asked."""
    licence: str
    """Of the data, as its authors state it."""
    citation: str
    """Where it is described."""
    read: Callable[[Row, str], Sequence[Example]]
    """Takes a row and its place, returns its examples (several of a dialogue). ``part`` in a row
    names its file or its subset on the Hub. Raises DataError."""
    metrics: tuple[str, ...]
    """Names of the metrics that score an answer, the main one first."""
    files: Mapping[Split, Files] = field(default_factory=dict)
    """Local files, by split."""
    hub: HubSource | None = None
    """Where on the Hub; None where it is not there."""
    parts: frozenset[str] = frozenset()
    """Files or subjects that are its own; empty for all."""
    held_out: float = 0.0
    """Share of the test rows that stay test rows where a source has no training rows; the others
    are trained on. 0: there is no such replacement."""
    max_new_tokens: int = 32
    """Most tokens of a generated answer."""
    stop: tuple[str, ...] = ()
    """Texts that end a generated answer."""
    join: Callable[[Sequence[Example]], Sequence[Example]] | None = None
    """Gives one unit to examples that belong together, where a row alone does not tell; takes all
    that are read, in the order of the source."""
    version: int = 1
    """Part of the fingerprint; raised when another prompt or answer is made of the same row."""

    def splits(self, root: Path | None = None) -> tuple[Split, ...]:
        """Returns the splits that its source has.

        Args:
            root: the data root; ``SWEEPER_DATA``, else the Hub, where None.

        Raises:
            MissingError: there are no rows below the root.
        """
        root = root or _environment.data_root()
        found: list[Split] = [name for name in self.files if self._paths(name, root)]
        if not found:
            found = list(self._hub_source(root).splits)
        if self.held_out and "train" not in found and "test" in found:
            found.append("train")
        return tuple(found)

    def check(self, split: Split, root: Path | None = None) -> None:
        """Looks whether a split can be had, without asking the Hub.

        Raises:
            MissingError: its rows are not where they should be.
            DataError: the source has no such split.
        """
        found = self.splits(root)
        if split not in found:
            raise DataError(
                f"{self.name} has no {split} split; it has {', '.join(found)}; name another task "
                f"in data.{'train' if split == 'train' else 'evaluate'}"
            )
        root = root or _environment.data_root()
        if root is None and self.hub is not None:
            self.hub.check()

    def load(
        self, split: Split, root: Path | None = None, *, rows: int | None = None, seed: int = 0
    ) -> Loaded:
        """Returns the examples of a split, and which rows could not be one.

        Args:
            split: which.
            root: the data root; ``SWEEPER_DATA``, else the Hub, where None.
            rows: most rows to read, drawn by ``seed``; all where None.
            seed: of that draw.

        Raises:
            MissingError: its rows cannot be had.
            DataError: the source has no such split, or its rows are of another form.
        """
        self.check(split, root)
        root = root or _environment.data_root()
        is_replaced = self._is_replaced(root)
        source: Split = "test" if is_replaced else split
        loaded = self._read(self._rows(source, root, None if is_replaced else rows, seed))
        if not is_replaced:
            return loaded
        trained, tested = split_off(loaded.examples, self.held_out, seed=0)
        kept = trained if split == "train" else tested
        if rows is not None and rows < len(kept):
            kept = tuple(kept[i] for i in _draw(len(kept), rows, seed))
        return replace(loaded, examples=kept)

    def fingerprint(self, split: Split, root: Path | None = None) -> str:
        """Returns a hash that stands for the rows and how they are read, without asking the Hub.

        Of local files it is the SHA-256 of names and bytes; on the Hub, of name and revision.
        """
        self.check(split, root)
        root = root or _environment.data_root()
        source: Split = "test" if self._is_replaced(root) else split
        digest = hashlib.sha256(f"{self.name}\0{self.version}\0{split}".encode())
        paths = self._paths(source, root)
        if not paths and root is not None:
            folder = root / self._hub_source(root).name
            paths = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
        for path in paths:
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(_READ_BYTES):
                    digest.update(block)
        if not paths:
            digest.update(repr(self.hub).encode())
        return digest.hexdigest()

    def _is_replaced(self, root: Path | None) -> bool:
        """Whether the source has no training rows, so that test rows are parted."""
        found = [name for name in self.files if self._paths(name, root)]
        return bool(self.held_out) and found == ["test"]

    def _paths(self, split: Split, root: Path | None) -> tuple[Path, ...]:
        if root is None or split not in self.files:
            return ()
        found = sorted(root.glob(self.files[split].pattern))
        return tuple(path for path in found if not self.parts or _part(path) in self.parts)

    def _hub_source(self, root: Path | None) -> HubSource:
        """Returns the source on the Hub, or in a folder of its layout below the root."""
        if self.hub is not None and (root is None or (root / self.hub.name).is_dir()):
            return self.hub
        wanted = ", ".join(files.pattern for files in self.files.values())
        places = [f"files {wanted}"] if wanted else []
        how = f"get them from their source: {self.citation}"
        if self.hub is not None:
            places.append(f"a folder {self.hub.name} in the Hub's layout")
            how = f"run: {self.hub.download_command(root)}"
        if root is None:
            raise MissingError(
                f"the task {self.name} is not on the Hub and no data root is set; its rows are "
                f"{' or '.join(places)}; {how}; then: export SWEEPER_DATA=FOLDER"
            )
        raise MissingError(
            f"no data for the task {self.name} in the data root {root}; it may hold "
            f"{' or '.join(places)}; {how}"
        )

    def _rows(
        self, split: Split, root: Path | None, most: int | None, seed: int
    ) -> Iterator[ReadRow]:
        paths = self._paths(split, root)
        if not paths and not self.parts:
            yield from self._hub_source(root).rows(split, root=root, most=most, seed=seed)
            return
        rows = self._file_rows(paths, split)
        if not paths:
            rows = self._hub_source(root).rows(split, root=root, most=None, seed=seed)
        found = [(where, row) for where, row in rows if self._is_own(row)]
        for index in _draw(len(found), most, seed):
            yield found[index]

    def _file_rows(self, paths: Sequence[Path], split: Split) -> Iterator[ReadRow]:
        for path in paths:
            for where, row in read_rows(path, columns=self.files[split].columns):
                yield where, row if isinstance(row, DataError) else {"part": _part(path), **row}

    def _is_own(self, row: Row | DataError) -> bool:
        if not self.parts or isinstance(row, DataError):
            return True
        return str(row.get("subject", row.get("part"))) in self.parts

    def _read(self, rows: Iterator[ReadRow]) -> Loaded:
        examples: list[Example] = []
        refused: list[str] = []
        count = 0
        for where, row in rows:
            count += 1
            try:
                found = self.read(_whole(row), where)
            except DataError as error:
                refused.append(str(error))
                continue
            examples += [
                replace(
                    example,
                    task=self.name,
                    domain=example.domain or self.name,
                    metrics=self.metrics,
                )
                for example in found
            ]
        if len(refused) > _MOST_REFUSED * count:
            raise DataError(
                f"{len(refused)} of {count} rows of the task {self.name} cannot be read; at most "
                f"{_MOST_REFUSED:.0%} may be bad; the first one: {refused[0]}"
            )
        return Loaded(tuple(self.join(examples) if self.join else examples), tuple(refused))


def _whole(row: Row | DataError) -> Row:
    if isinstance(row, DataError):
        raise row
    return row


def _part(path: Path) -> str:
    """Returns what a file is about: its name without the split at its end."""
    for ending in ("_test", "_val", "_dev", "_train"):
        if path.stem.endswith(ending):
            return path.stem.removesuffix(ending)
    return path.stem


def _draw(count: int, most: int | None, seed: int) -> Sequence[int]:
    if most is None or most >= count:
        return range(count)
    return sorted(random.Random(seed).sample(range(count), most))
