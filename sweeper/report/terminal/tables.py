"""The tables of the terminal: rows under a header, rows that fit any width, and pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

__all__ = ["Column", "fitted_table", "fitting", "pair_table", "row_table", "width_of"]

# Between two columns of a table of rows.
_GAP = 2
_PADDING = (0, _GAP, 0, 0)
# Cells that a title keeps when it is cut.
_TITLE = 5


def row_table() -> Table:
    """Returns an empty table without lines, whose header is bold."""
    return Table(box=None, pad_edge=False, header_style="bold", padding=_PADDING)


def pair_table(*, is_wide: bool = False) -> Table:
    """Returns an empty table without lines and header; a wide one takes the whole terminal."""
    return Table(box=None, pad_edge=False, show_header=False, padding=_PADDING, expand=is_wide)


@dataclass(frozen=True)
class Column:
    """A column of a table that fits, as texts."""

    title: str
    cells: tuple[str, ...]
    is_number: bool = False
    is_kept: bool = False
    """Whether it is there however narrow the terminal is."""
    is_titled: bool = False
    """Whether its title is never cut: it is left out in the place of that."""

    @cached_property
    def body(self) -> int:
        """Cells of its widest value."""
        return max(map(_cells_of, self.cells), default=0)

    @property
    def least(self) -> int:
        """Cells with a title that is cut, where it may be."""
        if self.is_titled:
            return self.whole
        return max(self.body, min(_TITLE, cell_len(self.title)))

    @cached_property
    def whole(self) -> int:
        """Cells with its whole title."""
        return max(self.body, cell_len(self.title))


def width_of(columns: Sequence[Column]) -> int:
    """Returns the cells that columns take at least, no value of theirs broken."""
    return sum(column.least for column in columns) + _GAP * (len(columns) - 1)


def fitting(columns: Sequence[Column], width: int) -> tuple[list[Column], list[Column]]:
    """Returns the columns that fit, in their order, and those that do not.

    Args:
        columns: by how much they tell, the least telling last.
        width: cells that there are.
    """
    kept: list[Column] = list(columns)
    left_out: list[Column] = []
    for column in reversed(columns):
        if width_of(kept) <= width:
            break
        if not column.is_kept:
            kept.remove(column)
            left_out.insert(0, column)
    return kept, left_out


def fitted_table(
    columns: Sequence[Column], width: int, *, bold: int | None = None
) -> RenderableType:
    """Returns a table with a line for each row, its titles cut as far as the width asks for it.

    Args:
        columns: that fit.
        width: cells that there are.
        bold: number of the row that stands out, from 0.
    """
    spare = max(0, width - width_of(columns))
    titled = []
    for column in columns:
        added = min(spare, column.whole - column.least)
        spare -= added
        titled.append(replace(column, title=_cut(column.title, column.least + added)))
    texts = (text for column in titled for text in (column.title, *column.cells))
    is_plain = width_of(columns) <= width and all(map(str.isprintable, texts))
    return _Lines(titled, bold) if is_plain else _table(titled, bold)


def _table(columns: Sequence[Column], bold: int | None) -> Table:
    """Returns a table that rich cuts to its width, and cells of several lines among them."""
    table = row_table()
    for column in columns:
        justify: Literal["right", "left"] = "right" if column.is_number else "left"
        table.add_column(column.title, justify=justify, no_wrap=True)
    for number, row in enumerate(zip(*(column.cells for column in columns), strict=True)):
        table.add_row(*map(Text, row), style="bold" if number == bold else "")
    return table


@dataclass(frozen=True)
class _Lines:
    """The same table where all of it fits, put together line by line.

    rich measures, wraps and pads each cell, which takes most of the time of a long leaderboard.
    """

    columns: Sequence[Column]
    bold: int | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the header and the rows."""
        del console, options
        bold = Style(bold=True)
        yield from self._line([column.title for column in self.columns], bold)
        for number, row in enumerate(zip(*(column.cells for column in self.columns), strict=True)):
            yield from self._line(row, bold if number == self.bold else None)

    def _line(self, cells: Sequence[str], style: Style | None) -> Iterator[Segment]:
        texts = (
            _padded(cell, column.whole, is_number=column.is_number)
            for cell, column in zip(cells, self.columns, strict=True)
        )
        yield Segment((" " * _GAP).join(texts), style)
        yield Segment.line()


def _padded(cell: str, width: int, *, is_number: bool) -> str:
    room = " " * (width - _cells_of(cell))
    return room + cell if is_number else cell + room


def _cells_of(text: str) -> int:
    """Returns the cells that a text takes; rich looks at each character."""
    return len(text) if text.isascii() and text.isprintable() else cell_len(text)


def _cut(title: str, width: int) -> str:
    return title if cell_len(title) <= width else f"{title[: width - 1]}…"
