"""The head of an inspection, its table, what follows, and its file."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from sweeper._text import duration
from sweeper.analysis.inspection import Inspection
from sweeper.report.inspection.tables import basis_text, inspection_tables
from sweeper.report.terminal.tables import Column, fitted_table, fitting

__all__ = ["inspection_view"]


def inspection_view(found: Inspection, *, chosen: str = "") -> RenderableType:
    """Returns what an inspection has found, for people.

    Print it with ``crop=False``: the file stays in one line, however long.

    Args:
        found: by the inspection.
        chosen: why it is this trial, where a sweep was named.
    """
    parts: list[RenderableType] = [Text(chosen)] if chosen else []
    parts += [
        Text.assemble(
            (f"{found.kind.capitalize()} of trial {found.trial}", "bold"),
            f" ({found.method}) of sweep {found.sweep}",
        ),
        Text(f"  {basis_text(found)}, in {duration(found.wall_time_s)}"),
    ]
    for title, columns in inspection_tables(found):
        parts += ["", Text(title), _Fitted(tuple(columns))]
    parts += ["", *map(Text, found.statements), *map(Text, found.notes)]
    parts.append(Text(f"  {found.path}", no_wrap=True, overflow="ignore"))
    return Group(*parts)


@dataclass(frozen=True)
class _Fitted:
    """A table of the columns that the terminal has room for."""

    columns: tuple[Column, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Of two titles such as "p (Holm)" and "probe" a beginning says nothing.
        columns = [replace(column, is_titled=True) for column in self.columns]
        kept, _ = fitting(columns, options.max_width)
        yield fitted_table(kept, options.max_width)
