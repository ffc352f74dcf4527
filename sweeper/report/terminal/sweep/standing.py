"""How sweeps stand, in the terminal: a line for each, or one with what it is doing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from sweeper._text import count, duration, params_text, shorten
from sweeper.estimates import Estimate
from sweeper.report.terminal.tables import Column, fitted_table, fitting, pair_table
from sweeper.tracking.mirror import words_of

__all__ = ["standing_view", "standings_view"]

_BAR = 20
# Failures that are shown, and characters of their reasons.
_FAILURES = 3
_REASON = 160


def standings_view(standings: Sequence[Mapping[str, Any]], *, now: datetime) -> RenderableType:
    """Returns the sweeps of a folder, a line each.

    Args:
        standings: documents of :func:`sweeper.report.standing.standing_of`.
        now: the time, UTC.
    """
    return _Standings(standings, now)


@dataclass(frozen=True)
class _Standings:
    """A table that is as wide as the terminal."""

    standings: Sequence[Mapping[str, Any]]
    now: datetime

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the table, without the columns that do not fit."""
        del console
        rows = [_row(one, self.now) for one in self.standings]
        columns = [
            Column(
                title,
                tuple(row[title] for row in rows),
                is_number=title in {"trials", "begun"},
                is_kept=title in {"sweep", "status", "trials"},
            )
            for title in rows[0]
        ]
        kept, _ = fitting(columns, options.max_width)
        yield fitted_table(kept, options.max_width)


def _row(one: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """Returns the cells of a sweep, the most telling first."""
    row = dict.fromkeys(("sweep", "status", "trials", "best", "begun", "by", "metric"), "")
    row |= {"sweep": one["sweep"], "status": one["status"]}
    if "objective" not in one:
        # Its file is damaged: what else there is of it is not known.
        return row
    best = one["best"]
    row |= {"trials": _trials(one), "begun": f"{_ago(one['created_at'], now)} ago"}
    if best is not None:
        score = Estimate(best["value"], best["standard_error"])
        by = f"{best['method']} ({best['number']})"
        row |= {"best": str(score), "by": by, "metric": one["objective"]["metric"]}
    return row


def standing_view(one: Mapping[str, Any], *, now: datetime) -> RenderableType:
    """Returns how one sweep stands.

    Args:
        one: document of :func:`sweeper.report.status.status_document`.
        now: the time, UTC.
    """
    since = f"{one['status']}, {_ago(one['since'], now)} ago"
    # When it was killed nobody has noted.
    killed = "interrupted: its driver was killed"
    head = Text.assemble(
        (f"Sweep {one['sweep']}", "bold"),
        f"  {killed if one['status'] == 'interrupted' else since}",
    )
    table = pair_table()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    counts = ", ".join(f"{number} {status}" for status, number in one["trials"].items())
    table.add_row("  trials", Text(f"{_bar(one)}{_trials(one)}{f': {counts}' if counts else ''}"))
    for name, value in _facts(one, now):
        table.add_row(f"  {name}", Text(value))
    parts: list[RenderableType] = [head, table]
    if one["status"] in {"interrupted", "stopped"}:
        command = f"python -m sweeper resume {words_of(Path(one['folder']))}"
        parts += ["", Text(f"  Continue with: {command}", no_wrap=True, overflow="ignore")]
    return Group(*parts)


def _early_ends(one: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if one["ended_by_patience"]:
        yield "patience", f"ended {count(one['ended_by_patience'], 'trial')} early"
    if races := one.get("races"):
        rows = f"{races['rows']:,} of {races['rows_in_all']:,} rows"
        yield "races", f"ended {count(races['lost'], 'trial')}, last asked {rows}"


def _facts(one: Mapping[str, Any], now: datetime) -> list[tuple[str, str]]:
    metric, best = one["objective"]["metric"], one["best"]
    facts = []
    if best is not None:
        score = Estimate(best["value"], best["standard_error"])
        text = f"trial {best['number']} ({best['method']}, {best['id']}), {metric} {score}"
        facts.append(("best so far", text))
        facts.append(("", params_text(best["params"], list(best["params"]))))
    else:
        facts.append(("best so far", f"no complete trial yet; objective {metric}"))
    facts += _early_ends(one)
    if one["base"] is not None:
        facts.append(("frozen base", f"{metric} {Estimate(one['base'])}"))
    begun = [(name, trial) for name in ("running", "interrupted") for trial in one[name]]
    for name, trial in begun:
        steps = f"{trial['steps']}/{trial['steps_total'] or '?'} steps"
        loss = "" if trial["train_loss"] is None else f", train_loss {trial['train_loss']:.4g}"
        again = f", attempt {trial['attempts']}" if trial["attempts"] > 1 else ""
        facts.append((name, f"trial {trial['number']} ({trial['method']}), {steps}{loss}{again}"))
    facts += [("failed" if not place else "", x) for place, x in enumerate(_failures(one))]
    if one["forecast"] is not None:
        facts.append(("forecast", _forecast(one["forecast"])))
    facts.append(("cost so far", _cost(one)))
    if one["driver"] is not None:
        facts.append(("driver", "; ".join(x for x in (one["driver"], one["stage"]) if x)))
    if one["replicas"] is not None:
        facts.append(("replicas", _replicas(one["replicas"])))
    if one["status"] != "complete":
        facts.append(("last sign", f"{_ago(one['last_sign_at'], now)} ago"))
    facts += [("asked", f"to stop {x['stop']}, by {x['by']}") for x in one["asked"]]
    if one["note"]:
        facts.append(("note", shorten(one["note"])))
    facts.append(("folder", one["folder"]))
    return facts


def _failures(one: Mapping[str, Any]) -> list[str]:
    """Returns the first failures with their reasons, a line each."""
    failures = one["failures"]
    lines = [
        f"trial {x['number']}: {x['type']}: {shorten(x['message'] or '', limit=_REASON)}"
        for x in failures[:_FAILURES]
    ]
    left = len(failures) - len(lines)
    return lines + ([f"and {count(left, 'more trial')}; 'report' has all"] if left else [])


def _forecast(found: Mapping[str, Any]) -> str:
    left = f"trials end in about {duration(found['left_s'])}"
    if found["is_rough"]:
        return f"{left}, a rough guess from {found['rests_on']}"
    ends = f"{duration(found['low_s'])} to {duration(found['high_s'])}"
    return f"{left} ({ends} in nine of ten cases), from {found['rests_on']}"


def _cost(one: Mapping[str, Any]) -> str:
    cost = one["cost"]
    name = "gpu_hours" if cost["gpu_hours"] else "worker_hours"
    hours = f"{cost[name]:.3g} {'GPU' if cost['gpu_hours'] else 'worker'} hours"
    price = "" if cost["price"] is None else f"{cost['price']:.2f} for "
    return (
        f"{price}{hours}: {duration(one['wall_time_s'])} in all trials, idle replicas not counted"
    )


def _replicas(found: Mapping[str, int]) -> str:
    parts = [f"{found['ready'] - found['restarting']} of {found['replicas']} alive"]
    parts += [f"{found['restarting']} restarting"] if found["restarting"] else []
    parts += [f"{found['lost']} lost"] if found["lost"] else []
    return ", ".join(
        parts + ([f"{found['restarts']} restarts so far"] if found["restarts"] else [])
    )


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
