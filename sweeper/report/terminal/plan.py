"""The plan of a sweep and the doctor's findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweeper._text import bytes_text, count, params_text, value_text, varying
from sweeper.report.terminal.tables import row_table
from sweeper.search.draws import MOST_DRAWN

__all__ = ["plan_view"]


def plan_view(plan: Mapping[str, Any]) -> RenderableType:
    """Returns what a plan's document (``plan --json``) says, for people."""
    trials, memory, resources = plan["trials"], plan["memory"], plan["resources"]
    objective = plan["objective"]
    table = row_table()
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("origin", no_wrap=True)
    table.add_column("method", no_wrap=True)
    table.add_column("trainable", justify="right", no_wrap=True)
    table.add_column("percent", justify="right", no_wrap=True)
    table.add_column("parameters", overflow="fold", ratio=1)
    names = varying(trial["params"] for trial in trials)
    for trial in trials:
        table.add_row(
            str(trial["number"]),
            trial["origin"],
            trial["method"],
            f"{trial['trainable']:,}",
            f"{trial['percent']:.4f}",
            Text(params_text(trial["params"], names)),
        )
    parts: list[RenderableType] = [
        Text.assemble(
            (f"Plan of {plan['space']} on {plan['profile']}", "bold"),
            f"  {count(plan['search']['trials'], 'trial')}, "
            f"{'lowest' if objective['mode'] == 'min' else 'highest'} {objective['metric']}",
        ),
        "",
        table,
        "",
        *_budget(plan.get("budget"), trials),
        _pairs("Memory of one worker, by formula", {k: bytes_text(v) for k, v in memory.items()}),
        _pairs("Resources of one replica", resources),
    ]
    parts += _notes(plan)
    parts += ["", Text("Nothing was started.")]
    return Group(*parts)


def _notes(plan: Mapping[str, Any]) -> list[RenderableType]:
    """Returns what the table does not show."""
    trials = plan["trials"]
    notes: list[RenderableType] = []
    if len(trials) < plan["search"]["trials"]:
        are = "are shown" if len(trials) == MOST_DRAWN else "are all that the space has"
        notes += ["", Text(f"{count(len(trials), 'trial')} {are}; none is run twice.")]
    if any(trial["is_example"] for trial in trials):
        first = next(trial["number"] for trial in trials if trial["is_example"])
        text = f"From trial {first} on, the draws depend on results; these rows are examples."
        notes += ["", Text(text)]
    if plan["missing"]:
        notes += ["", Text(f"Missing: {plan['missing']}", style="bold")]
    return notes


def _budget(
    budget: Mapping[str, Any] | None, trials: Sequence[Mapping[str, Any]]
) -> list[RenderableType]:
    """Returns the size of each trial, and its deviation from the budget."""
    if budget is None:
        return []
    table = row_table()
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("method", no_wrap=True)
    for name in ("budget", "deviation", "percent"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("chosen size", overflow="fold", ratio=1)
    for trial in trials:
        fit = trial["budget"]
        table.add_row(
            str(trial["number"]),
            trial["method"],
            f"{fit['parameters']:,}",
            f"{fit['miss']:+,}" if fit["miss"] else "0",
            f"{fit['miss_percent']:+.3g}" if fit["miss"] else "0",
            Text(params_text(fit["size"], list(fit["size"]))),
        )
    return [_pairs("Budget", {k: v for k, v in budget.items() if v is not None}), table, ""]


def _pairs(title: str, values: Mapping[str, object]) -> RenderableType:
    text = ", ".join(
        f"{name.removesuffix('_bytes').replace('_', ' ')} {value_text(value)}"
        for name, value in values.items()
    )
    return Text.assemble((f"{title}: ", "bold"), text)
