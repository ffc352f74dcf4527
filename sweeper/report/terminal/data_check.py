"""The result of a data check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sweeper.report.terminal.tables import pair_table, row_table

__all__ = ["data_check_view"]


def data_check_view(check: Mapping[str, Any], *, title: str) -> RenderableType:
    """Returns what a check's document (``data check --json``) says, for people.

    Args:
        check: the document.
        title: whose data it is.
    """
    rows = ", ".join(f"{name} {count:,}" for name, count in check["rows"].items())
    parts: list[RenderableType] = [
        Text.assemble((f"Data of {title}", "bold"), f"  rows: {rows}"),
        *(Text(f"Split off: {text}") for text in check["shares"]),
        *(Text(f"Warning: {text}", style="bold") for text in check["warnings"]),
        "",
        _findings(check),
    ]
    for finding in check["findings"]:
        if finding["shown"]:
            heading = f"{finding['kind']}, {finding['where']}"
            parts += ["", Rule(Text(heading, style="bold"), align="left", characters="─")]
            parts += [_shown(entry) for entry in finding["shown"]]
    parts += ["", *(Text(f"Not checked: {text}") for text in check["not_looked_at"])]
    parts.append(Text(_verdict(check), style="bold"))
    return Group(*parts)


def _findings(check: Mapping[str, Any]) -> Table:
    table = row_table()
    table.add_column("found", overflow="fold")
    table.add_column("in", overflow="fold")
    for name in ("rows", "of", "share", "allowed"):
        table.add_column(name, justify="right", no_wrap=True)
    for finding in check["findings"]:
        limit = finding["limit"]
        is_refused = finding["is_refused"] and not check["is_allowed"]
        table.add_row(
            finding["kind"],
            finding["where"],
            f"{finding['count']:,}",
            f"{finding['rows']:,}",
            f"{finding['share']:.2%}",
            "" if limit is None else f"{limit:,}",
            style="bold" if is_refused else "",
        )
    return table


def _shown(entry: Mapping[str, Any]) -> Table:
    """Returns one row, beside the row that contains it or that it repeats."""
    remark = f": {entry['remark']}" if entry["remark"] else ""
    columns = [(entry["place"] + remark, entry["text"])]
    if entry["other_place"]:
        columns.append((entry["other_place"], entry["other_text"]))
    table = pair_table(is_wide=True)
    for _ in columns:
        table.add_column(ratio=1, overflow="fold")
    table.add_row(*(Text(place, style="dim") for place, _ in columns))
    if entry["text"]:
        table.add_row(*(Text(text) for _, text in columns))
    return table


def _verdict(check: Mapping[str, Any]) -> str:
    refused = [finding for finding in check["findings"] if finding["is_refused"]]
    names = ", ".join(finding["where"] for finding in refused)
    if check["is_refused"]:
        return (
            f"A sweep on this data would be refused: too many rows of {names} are in the training "
            "rows. To run it anyway: --set hygiene.contamination=allow"
        )
    if refused:
        return f"The data is contaminated ({names}); hygiene.contamination allows it."
    return "A sweep on this data would not be refused."
