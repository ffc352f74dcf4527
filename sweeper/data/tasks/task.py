"""What a task is, and the one loader that reads its rows from files or from the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path

from sweeper import _environment
from sweeper.data.examples import Example
from sweeper.data.reading.files import read_rows
from sweeper.data.reading.hub import HubSource, Split
from sweeper.data.reading.places import digest_files
from sweeper.data.reading.rows import Draw, ListedRows, ReadRow, Row, Rows
from sweeper.data.splitting import split_off
from sweeper.errors import DataError, MissingError

__all__ = ["Files", "Loaded", "Task"]

# More rows than this share that cannot be examples mean another format, not a few bad rows.
_MOST_REFUSED = 0.1


@dataclass(frozen=True)
class Files:
    """Local files of one split."""

    pattern: str
    """Pattern of their paths below the data root, such as ``mmlu/test/*_test.csv``."""
    otherwise: str = ""
    """Pattern of those that are read where the first finds none; empty without any."""
    columns: tuple[str, ...] = ()
    """Names of the columns of CSV files without a header."""

    def find(self, root: Path) -> list[Path]:
        """Returns the paths of those that are there, sorted."""
        found = sorted(root.glob(self.pattern))
        return found if found or not self.otherwise else sorted(root.glob(self.otherwise))


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
    """Takes a row and its place, returns its example (of a dialogue several). ``part`` in a row
    names its file or its subset on the Hub. Raises DataError."""
    metrics: tuple[str, ...]
    """Names of the metrics that score an answer, the main one first."""
    files: Mapping[Split, Files] = field(default_factory=dict)
    """Local files, by split."""
    hub: HubSource | None = None
    """Where on the Hub; None where it is not there."""
    is_dialogues: bool = False
    """Whether a row is a dialogue, of which several examples are made."""
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
    """Part of the fingerprint; raised when another prompt or answer is made of the same row, or
    other rows are taken."""

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

    def require_available(self, split: Split, root: Path | None = None) -> None:
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
            self.hub.require_available()

    def load(
        self, split: Split, root: Path | None = None, *, rows: int | None = None, seed: int = 0
    ) -> Loaded:
        """Returns the examples of a split, and which rows could not be one.

        Args:
            split: which.
            root: the data root; ``SWEEPER_DATA``, else the Hub, where None.
            rows: most examples, drawn by ``seed`` from all of the split; all where None.
            seed: of that draw, the same for files as for the Hub.

        Raises:
            MissingError: its rows cannot be had.
            DataError: the source has no such split, or its rows are of another form.
        """
        self.require_available(split, root)
        root = root or _environment.data_root()
        is_replaced = self._is_replaced(root)
        found = self._rows("test" if is_replaced else split, root)
        if rows is not None and rows < len(found) and not is_replaced and not self.is_dialogues:
            return self._drawn(found, rows, seed)
        read = _Read()
        self._read(found, range(len(found)), read)
        loaded = self._loaded(read)
        examples = loaded.examples
        if is_replaced:
            trained, tested = split_off(examples, self.held_out, seed=0)
            examples = trained if split == "train" else tested
        if rows is not None and rows < len(examples):
            examples = tuple(examples[i] for i in Draw(len(examples), seed=seed).take(rows))
        return replace(loaded, examples=examples)

    def pin(self, root: Path | None = None) -> None:
        """Fixes which rows of the Hub are read, where they are: see ``HubSource.pin``.

        Raises:
            MissingError: the Hub does not answer.
        """
        if (root or _environment.data_root()) is None and self.hub is not None:
            self.hub.pin()

    def fingerprint(self, split: Split, root: Path | None = None) -> str:
        """Returns a hash that stands for the rows and how they are read, without asking the Hub.

        Of local files it is the SHA-256 of names and bytes; on the Hub, of name, revision and
        commit. The commit of a branch is known once it is in the Hub's cache
        (``HubSource.commit``): the same rows have another hash before, and other rows another one.
        """
        self.require_available(split, root)
        root = root or _environment.data_root()
        source: Split = "test" if self._is_replaced(root) else split
        digest = hashlib.sha256(f"{self.name}\0{self.version}\0{split}".encode())
        paths = self._paths(source, root)
        if not paths and root is not None:
            folder = root / self._hub_source(root).name
            paths = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
        digest_files(digest, ((path.name, path) for path in paths))
        if not paths and self.hub is not None:
            digest.update(repr(self.hub).encode())
            if self.hub.commit() != self.hub.revision:
                digest.update(self.hub.commit().encode())
        return digest.hexdigest()

    def _is_replaced(self, root: Path | None) -> bool:
        """Whether the source has no training rows, so that test rows are parted."""
        found = [name for name in self.files if self._paths(name, root)]
        return bool(self.held_out) and found == ["test"]

    def _paths(self, split: Split, root: Path | None) -> tuple[Path, ...]:
        if root is None or split not in self.files:
            return ()
        found = self.files[split].find(root)
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

    def _rows(self, split: Split, root: Path | None) -> Rows:
        paths = self._paths(split, root)
        if paths:
            return ListedRows(list(self._file_rows(paths, split)))
        rows = self._hub_source(root).rows(split, root=root)
        if not self.parts:
            return rows
        return ListedRows([row for row in rows.at(range(len(rows))) if self._is_own(row[1])])

    def _file_rows(self, paths: Sequence[Path], split: Split) -> Iterator[ReadRow]:
        for path in paths:
            for where, row in read_rows(path, columns=self.files[split].columns):
                yield where, row if isinstance(row, DataError) else {"part": _part(path), **row}

    def _is_own(self, row: Row | DataError) -> bool:
        return isinstance(row, DataError) or str(row.get("subject", row.get("part"))) in self.parts

    def _drawn(self, rows: Rows, most: int, seed: int) -> Loaded:
        """Returns this many examples, each of a row; another row is read for each bad one."""
        draw, read = Draw(len(rows), seed=seed), _Read()
        while chosen := draw.take(most - len(read.examples)):
            self._read(rows, chosen, read)
        return self._loaded(read)

    def _read(self, rows: Rows, positions: Sequence[int], read: _Read) -> None:
        """Adds to ``read`` what the rows at these positions are."""
        read.rows += len(positions)
        for position, (where, row) in zip(positions, rows.at(positions), strict=True):
            try:
                if isinstance(row, DataError):
                    raise row
                found = self.read(row, where)
            except DataError as error:
                read.refused.append(str(error))
                continue
            read.examples += [(position, self._of_task(example)) for example in found]

    def _of_task(self, example: Example) -> Example:
        domain = example.domain or self.name
        return replace(example, task=self.name, domain=domain, metrics=self.metrics)

    def _loaded(self, read: _Read) -> Loaded:
        """Returns what was read, in the order of the source.

        Raises:
            DataError: more rows are bad than may be.
        """
        if len(read.refused) > _MOST_REFUSED * read.rows:
            raise DataError(
                f"{len(read.refused)} of {read.rows} rows of the task {self.name} cannot be read; "
                f"at most {_MOST_REFUSED:.0%} may be bad; the first one: {read.refused[0]}"
            )
        examples = tuple(example for _, example in sorted(read.examples, key=itemgetter(0)))
        return Loaded(tuple(self.join(examples)) if self.join else examples, tuple(read.refused))


@dataclass
class _Read:
    """What was read of some rows."""

    examples: list[tuple[int, Example]] = field(default_factory=list)
    """Each with the position of its row."""
    refused: list[str] = field(default_factory=list)
    rows: int = 0


def _part(path: Path) -> str:
    """Returns what a file is about: its name without the split at its end."""
    for ending in ("_test", "_val", "_dev", "_train"):
        if path.stem.endswith(ending):
            return path.stem.removesuffix(ending)
    return path.stem
