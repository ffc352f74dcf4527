"""The clones of a sweep in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from sweeper.report.terminal.tables import Column, fitted_table, fitting

__all__ = ["ClonesTable"]

# Columns that a narrow terminal leaves out, the first one first. The others tell a clone.
_SPARED = ("id", "steps", "status", "steps in all", "from")


@dataclass(frozen=True)
class ClonesTable:
    """A table that is as wide as the terminal: columns are left out, and no word is broken."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the table, and what it leaves out."""
        del console
        columns = [
            Column(
                title,
                tuple(row[place] for row in self.rows),
                is_kept=title not in _SPARED,
                # "steps" is another column than "steps in all".
                is_titled=True,
            )
            for place, title in enumerate(self.head)
        ]
        by_worth = sorted(
            columns,
            key=lambda x: -_SPARED.index(x.title) if x.title in _SPARED else -len(_SPARED),
        )
        kept, left_out = fitting(by_worth, options.max_width)
        titles = {column.title for column in kept}
        yield fitted_table([x for x in columns if x.title in titles], options.max_width)
        if left_out:
            names = ", ".join(column.title for column in left_out)
            yield Text(f"Not shown, for want of width: {names}")
