"""The tables of the terminal: rows under a header, rows that fit any width, and pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import RenderableType
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

    @property
    def body(self) -> int:
        """Cells of its widest value."""
        return max(map(cell_len, self.cells), default=0)

    @property
    def least(self) -> int:
        """Cells with a title that is cut."""
        return max(self.body, min(_TITLE, cell_len(self.title)))

    @property
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


def fitted_table(columns: Sequence[Column], width: int, *, bold: int | None = None) -> Table:
    """Returns a table with a line for each row, its titles cut as far as the width asks for it.

    Args:
        columns: that fit.
        width: cells that there are.
        bold: number of the row that stands out, from 0.
    """
    spare = max(0, width - width_of(columns))
    table = row_table()
    for column in columns:
        added = min(spare, column.whole - column.least)
        spare -= added
        table.add_column(
            _cut(column.title, column.least + added),
            justify="right" if column.is_number else "left",
            no_wrap=True,
        )
    for number in range(len(columns[0].cells)):
        cells: list[RenderableType] = [Text(column.cells[number]) for column in columns]
        table.add_row(*cells, style="bold" if number == bold else "")
    return table


def _cut(title: str, width: int) -> str:
    return title if cell_len(title) <= width else f"{title[: width - 1]}…"
