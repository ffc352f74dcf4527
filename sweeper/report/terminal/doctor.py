"""The doctor's findings as the terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from sweeper.report.terminal.tables import row_table

__all__ = ["doctor_view"]


# Marks that say the same without colour.
MARKS = {"ok": "ok", "optional": "-", "missing": "MISSING"}


def doctor_view(findings: Sequence[Mapping[str, str]]) -> RenderableType:
    """Returns the doctor's findings (``doctor --json``) for people."""
    table = row_table()
    table.add_column("", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("found, and what to do", overflow="fold", ratio=1)
    for finding in findings:
        text = Text(finding["detail"])
        if finding["fix"]:
            text.append(f"\nfix: {finding['fix']}", style="bold")
        status = finding["status"]
        style = "bold" if status == "missing" else ""
        table.add_row(MARKS.get(status, status), finding["name"], text, style=style)
    return table
