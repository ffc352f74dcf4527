"""All items of the papers in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweeper._text import count
from sweeper.report.terminal.tables import row_table

__all__ = ["papers_view"]


def papers_view(document: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Returns what the document of all items says, for people."""
    table = row_table()
    table.add_column("name", no_wrap=True)
    for title in ("what it compares", "profiles", "here"):
        table.add_column(title, overflow="fold")
    for one in document:
        table.add_row(
            one["name"],
            Text(one["description"]),
            Text(", ".join(one["profiles"])),
            Text(_state(one)),
        )
    asked = sum(bool(one["sweeps"]) for one in document)
    said = f"{count(len(document), 'item')}, {asked} of them asked in this folder of sweeps."
    next_one = "One of them: python -m sweeper paper NAME, with --plan only its plan."
    return Group(table, "", Text(said), Text(next_one))


def _state(one: Mapping[str, Any]) -> str:
    if one["sweeps"]:
        return ", ".join(one["sweeps"])
    return f"make {one['reads']}" if one["reads"].startswith("bench") else "not run"
