"""How sweeps stand, in the terminal: a line for each, or one with what it is doing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweeper._text import duration, params_text, shorten
from sweeper.estimates import Estimate
from sweeper.report.terminal.tables import pair_table, row_table

__all__ = ["standing_view", "standings_view"]

_BAR = 20


def standings_view(standings: Sequence[Mapping[str, Any]], *, now: datetime) -> RenderableType:
    """Returns the sweeps of a folder, a line each.

    Args:
        standings: documents of :func:`sweeper.report.standing.standing_of`.
        now: the time, UTC.
    """
    table = row_table()
    table.add_column("sweep", overflow="fold")
    table.add_column("status", no_wrap=True)
    table.add_column("trials", justify="right", no_wrap=True)
    table.add_column("best", no_wrap=True)
    table.add_column("by", no_wrap=True)
    table.add_column("begun", justify="right", no_wrap=True)
    for one in standings:
        if "objective" not in one:
            table.add_row(one["sweep"], one["status"], "", "", "", "")
            continue
        best = one["best"]
        metric = one["objective"]["metric"]
        table.add_row(
            one["sweep"],
            one["status"],
            _trials(one),
            "" if best is None else f"{metric} {Estimate(best['value'], best['standard_error'])}",
            "" if best is None else f"{best['method']} ({best['number']})",
            f"{_ago(one['created_at'], now)} ago",
        )
    return table


def standing_view(one: Mapping[str, Any], *, now: datetime) -> RenderableType:
    """Returns how one sweep stands.

    Args:
        one: document of :func:`sweeper.report.standing.standing_of`.
        now: the time, UTC.
    """
    head = Text.assemble(
        (f"Sweep {one['sweep']}", "bold"), f"  {one['status']}, {_ago(one['since'], now)} ago"
    )
    table = pair_table()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    counts = ", ".join(f"{number} {status}" for status, number in one["trials"].items())
    table.add_row("  trials", Text(f"{_bar(one)}{_trials(one)}{f': {counts}' if counts else ''}"))
    for name, value in _facts(one):
        table.add_row(f"  {name}", Text(value))
    parts: list[RenderableType] = [head, table]
    if one["status"] in {"interrupted", "stopped"}:
        command = f"python -m sweeper resume {shlex.quote(one['folder'])}"
        parts += ["", Text(f"  Continue with: {command}", no_wrap=True, overflow="ignore")]
    return Group(*parts)


def _facts(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    metric, best = one["objective"]["metric"], one["best"]
    facts = []
    if best is not None:
        score = Estimate(best["value"], best["standard_error"])
        text = f"trial {best['number']} ({best['method']}, {best['id']}), {metric} {score}"
        facts.append(("best so far", text))
        facts.append(("", params_text(best["params"], _short(best["params"]))))
    else:
        facts.append(("best so far", f"no complete trial yet; objective {metric}"))
    if one["base"] is not None:
        facts.append(("frozen base", f"{metric} {Estimate(one['base'])}"))
    for trial in one["running"]:
        steps = f"{trial['steps']}/{trial['steps_total'] or '?'} steps"
        loss = "" if trial["train_loss"] is None else f", train_loss {trial['train_loss']:.4g}"
        again = f", attempt {trial['attempts']}" if trial["attempts"] > 1 else ""
        facts.append(
            ("running", f"trial {trial['number']} ({trial['method']}), {steps}{loss}{again}")
        )
    if one["driver"] is not None:
        facts.append(("driver", one["driver"]))
    facts.append(("training", f"{duration(one['wall_time_s'])} in all trials"))
    if one["note"]:
        facts.append(("note", shorten(one["note"])))
    facts.append(("folder", one["folder"]))
    return facts


def _short(params: Mapping[str, Any]) -> list[str]:
    return [name for name, value in params.items() if not isinstance(value, list | dict)]


def _trials(one: Mapping[str, Any]) -> str:
    total = one["trials_total"]
    return f"{one['trials_done']} of {total}" if total is not None else str(one["trials_done"])


def _bar(one: Mapping[str, Any]) -> str:
    total = one["trials_total"]
    if not total:
        return ""
    cells = round(_BAR * one["trials_done"] / total)
    return f"[{'#' * cells}{'-' * (_BAR - cells)}] "


def _ago(since: str, now: datetime) -> str:
    """Returns how long ago a time is, in its two largest units."""
    seconds = max(0.0, (now - datetime.fromisoformat(since).astimezone(UTC)).total_seconds())
    days = int(seconds // 86_400)
    if days:
        return f"{days} d {int(seconds % 86_400 // 3600)} h"
    return duration(seconds)
