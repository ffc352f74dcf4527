"""Findings of the doctor, and of a dry run, as the terminal shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sweeper.report.terminal.tables import row_table

__all__ = ["doctor_view", "dry_run_view"]


# Marks that say the same without colour.
MARKS = {"ok": "ok", "optional": "-", "missing": "MISSING", "no": "NO", "not at hand": "-"}
_BAD = ("missing", "no")


def doctor_view(findings: Sequence[Mapping[str, str]]) -> RenderableType:
    """Returns the doctor's findings (``doctor --json``) for people."""
    return _view(findings)


def dry_run_view(findings: Sequence[Mapping[str, str]]) -> RenderableType:
    """Returns the findings of a dry run (``plan --dry-run --json``) for people."""
    counts = Counter(finding["status"] for finding in findings)
    told = ", ".join(f"{counts[status]} {status}" for status in ("ok", "no", "not at hand"))
    return Group(_view(findings), Text(f"\n{told}"))


def _view(findings: Sequence[Mapping[str, str]]) -> RenderableType:
    table = row_table()
    table.add_column("", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("found, and what to do", overflow="fold", ratio=1)
    for finding in findings:
        is_absent = finding["status"] == "not at hand"
        text = Text(f"not at hand: {finding['detail']}" if is_absent else finding["detail"])
        if finding["fix"]:
            text.append(f"\nfix: {finding['fix']}", style="bold")
        status = finding["status"]
        style = "bold" if status in _BAD else ""
        table.add_row(MARKS.get(status, status), finding["name"], text, style=style)
    return table
