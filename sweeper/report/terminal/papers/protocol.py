"""How an item of a paper is asked, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweeper._text import count
from sweeper.report.terminal.sweep.conclusions import Paragraph
from sweeper.report.terminal.tables import pair_table, row_table

__all__ = ["protocol_view"]


def protocol_view(document: Mapping[str, Any]) -> RenderableType:
    """Returns what the document of a protocol says.

    Args:
        document: of :func:`sweeper.report.papers.protocol_document`.
    """
    head = Text.assemble((f"{document['name']}: {document['paper']}", "bold"))
    parts: list[RenderableType] = [
        head.append(f" ({document['where']})"),
        Paragraph(Text(f"The paper: {document['shows']}"), indent=2),
        "",
        _asked(document),
        "",
    ]
    if document["published"]:
        parts += [Text("Published, one run each", style="bold"), _published(document)]
        titles = [f"({n}) {title}" for n, title in enumerate(document["columns"], start=1)]
        parts.append(Paragraph(Text("; ".join(titles)), indent=2))
        if document["least"]:
            least = _number(document["least"], document["decimals"])
            said = f"A difference below {least} has no direction."
            parts.append(Paragraph(Text(said), indent=2))
        parts.append("")
    if document["departures"]:
        parts.append(Text("Not as in the paper", style="bold"))
        parts += [Paragraph(Text(text), indent=2) for text in document["departures"]]
        parts.append("")
    if document["how_to_read"]:
        parts += [Paragraph(Text(document["how_to_read"])), ""]
    return Group(*parts)


def _asked(document: Mapping[str, Any]) -> RenderableType:
    table = pair_table()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    others = [name for name in document["profiles"] if name != document["profile"]]
    also = f" (also: {', '.join(others)})" if others else ""
    table.add_row("  profile", Text(f"{document['profile']}{also}"))
    table.add_row("  compared", Text("; ".join(document["arms"])))
    seeds = count(document["seeds"], "seed")
    table.add_row("  trials", f"{document['trials']}, {seeds} of each")
    if document["compared_by"]:
        by = f"{document['compared_by']} on the test rows"
        baseline = document["baseline"]
        table.add_row("  by", Text(f"{by}, to {baseline}" if baseline else by))
    if document["column"]:
        table.add_row("  beside", Text(document["column"]))
    return table


def _published(document: Mapping[str, Any]) -> RenderableType:
    columns = document["columns"]
    table = row_table()
    table.add_column("  row", overflow="fold")
    for number in range(1, len(columns) + 1):
        table.add_column(f"({number})", justify="right", no_wrap=True)
    # What a bench times has no configuration here.
    is_timed = document["reads"].startswith("bench")
    if not is_timed:
        table.add_column("here", overflow="fold")
    for row in document["published"]:
        values = [_number(value, document["decimals"]) for value in row["values"]]
        here = [] if is_timed else [Text(_here(row))]
        table.add_row(Text(f"  {row['arm']}"), *values, *here)
    return table


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def _here(row: Mapping[str, Any]) -> str:
    if row["is_planned"]:
        return str(row["here"])
    return f"not run: {row['not_run'] or 'no such configuration on this profile'}"
