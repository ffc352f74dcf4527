"""The two tables of the terminal: rows under a header, and pairs of a name and its value."""

from __future__ import annotations

from rich.table import Table

__all__ = ["pair_table", "row_table"]

_PADDING = (0, 2, 0, 0)


def row_table() -> Table:
    """Returns an empty table without lines, whose header is bold."""
    return Table(box=None, pad_edge=False, header_style="bold", padding=_PADDING)


def pair_table(*, is_wide: bool = False) -> Table:
    """Returns an empty table without lines and header; a wide one takes the whole terminal."""
    return Table(box=None, pad_edge=False, show_header=False, padding=_PADDING, expand=is_wide)
