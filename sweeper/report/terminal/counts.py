"""Counted parameters, beside the published figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from sweeper._text import bytes_text, count
from sweeper.report.terminal.tables import row_table

__all__ = ["params_view"]

# From this width on there is room for the method, all parameters and the source of a figure.
WIDE = 120


def params_view(rows: Sequence[Mapping[str, Any]], *, title: str) -> RenderableType:
    """Returns what the rows of ``params --json`` say, for people.

    Args:
        rows: one for each trial.
        title: what was counted.
    """
    # A reason that several rows share is told once.
    notes = list(dict.fromkeys(row["note"] for row in rows if row["note"]))
    parts: list[RenderableType] = [
        Text.assemble((f"Parameters of {title}", "bold"), f"  {count(len(rows), 'trial')}"),
        "",
        _Rows(rows, notes),
        "",
    ]
    listed = Table.grid(padding=(0, 1, 0, 0))
    listed.add_column(no_wrap=True)
    listed.add_column(overflow="fold")
    for number, note in enumerate(notes, start=1):
        listed.add_row(Text(f"[{number}]"), Text(note))
    parts += [listed, ""] if notes else []
    parts.append(Text(_verdict(rows)))
    parts.append(
        Text(
            "Counted by injection into a model without weights. File: the saved adapter. "
            "Optimiser: AdamW's moments and, on a 16-bit base, float32 copies, summed over all "
            "workers."
        )
    )
    return Group(*parts)


class _Rows:
    """The table, with more columns where there is room."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], notes: list[str]) -> None:
        self._rows = rows
        self._notes = notes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        is_wide = options.max_width >= WIDE
        has_published = any(row["published"] or row["note"] for row in self._rows)
        table = row_table()
        table.add_column("name", overflow="fold")
        if is_wide:
            table.add_column("method", no_wrap=True)
        table.add_column("trainable", justify="right", no_wrap=True)
        if is_wide:
            table.add_column("total", justify="right", no_wrap=True)
        table.add_column("percent", justify="right", no_wrap=True)
        if has_published:
            table.add_column("published", no_wrap=True)
        table.add_column("file", justify="right", no_wrap=True)
        table.add_column("optimiser", justify="right", no_wrap=True)
        if is_wide and has_published:
            table.add_column("source", overflow="fold")
        for row in self._rows:
            table.add_row(
                *(Text(cell) for cell in self._cells(row, is_wide, has_published)),
                style="bold" if row["agrees"] is False and not row["note"] else "",
            )
        yield table

    def _cells(self, row: Mapping[str, Any], is_wide: bool, has_published: bool) -> list[str]:
        cells = [row["name"]]
        cells += [row["method"]] if is_wide else []
        cells.append(f"{row['trainable']:,}")
        cells += [f"{row['total']:,}"] if is_wide else []
        cells.append(f"{row['percent']:.4f}")
        cells += [self._published(row)] if has_published else []
        cells += [bytes_text(row["adapter_bytes"]), bytes_text(row["optimizer_bytes"])]
        cells += [row["source"] or ""] if is_wide and has_published else []
        return cells

    def _published(self, row: Mapping[str, Any]) -> str:
        parts = []
        if row["published"] is not None:
            parts += [row["published"], "=" if row["agrees"] else "≠"]
        if row["note"]:
            parts.append(f"[{self._notes.index(row['note']) + 1}]")
        return " ".join(parts)


def _verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    published = [row for row in rows if row["published"] is not None]
    if not published:
        return "No published figure is known for these trials."
    same = sum(row["agrees"] for row in published)
    explained = sum(not row["agrees"] and bool(row["note"]) for row in published)
    parts = [f"{same} of {count(len(published), 'published figure')} met to the last digit (=)"]
    if explained:
        parts.append(f"{explained} not (≠), for the reason in the note")
    if same + explained < len(published):
        parts.append(f"{len(published) - same - explained} not (≠), and no reason is given")
    return "; ".join(parts) + "."
