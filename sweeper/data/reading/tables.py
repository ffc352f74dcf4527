"""Rows of tables written as text: comma- or tab-separated, every cell the text that it is."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from sweeper._text import shorten
from sweeper.data.reading.places import open_text
from sweeper.data.reading.rows import ReadRow
from sweeper.errors import DataError

__all__ = ["table_rows"]


def table_rows(
    path: Path, columns: Sequence[str] = (), *, separator: str = ","
) -> Iterator[ReadRow]:
    """Yields the rows of a table; no cell is taken for a number, a date or nothing.

    Args:
        path: of the file.
        columns: names of its columns where it has no header.
        separator: between two cells.

    Raises:
        DataError: its header has a name twice, or a quote that is never closed.
    """
    # The limit is the module's own, of 128 KiB, and there is no other way to read a longer cell.
    csv.field_size_limit(sys.maxsize)
    # Fields hold newlines and quotes.
    with open_text(path, newline="") as file:
        lines = _Lines(file)
        # Else a quote at the begin of a cell, and none at its end, would silently be dropped.
        reader = csv.reader(lines, delimiter=separator, strict=True)
        try:
            begins_at = 1
            names = list(columns) or next(reader, [])
            _require_distinct(names, path)
            begins_at = reader.line_num + 1
            for cells in reader:
                where, begins_at = f"{path}:{reader.line_num}", reader.line_num + 1
                if not cells:
                    continue
                if len(cells) != len(names):
                    yield where, _cut(where, len(cells), names)
                else:
                    yield where, dict(zip(names, cells, strict=True))
        except csv.Error as error:
            if lines.is_at_end:
                raise _unclosed(path, begins_at) from error
            raise DataError(
                f"{path}:{reader.line_num}: not a table ({error}); a cell with a separator, a "
                "quote or a newline stands in quotes; correct the line"
            ) from error


class _Lines:
    """A file's lines, and whether the last one has been passed."""

    def __init__(self, file: Iterator[str]) -> None:
        self._file = file
        self.is_at_end = False

    def __iter__(self) -> Iterator[str]:
        yield from self._file
        self.is_at_end = True


def _require_distinct(names: Sequence[str], path: Path) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"{path}:1: the column {twice[0][:80]!r} is there twice; each column has a name of its "
            "own in the header; rename one of them"
        )


def _unclosed(path: Path, line: int) -> DataError:
    return DataError(
        f"{path}:{line}: a quote is opened and never closed, so that the row goes on to the end of "
        "the file; a quote within a cell is written twice; correct the line"
    )


def _cut(where: str, cells: int, names: Sequence[str]) -> DataError:
    listed = shorten(", ".join(names), limit=600)
    return DataError(
        f"{where}: {cells} cells but {len(names)} columns ({listed}); every row needs one cell a "
        "column; correct the row"
    )
