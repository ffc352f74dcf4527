"""One trial in the terminal: what it is, how it ended, what it measured, where its files are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from sweeper._text import count, duration, value_text
from sweeper.report.terminal.evaluation import metrics_table
from sweeper.report.terminal.tables import pair_table

__all__ = ["trial_view"]

# Of metrics that are no result but a cost, or the machine's.
_ASIDE = ("system/", "train_", "step_time_s", "evaluation_time_s", "checkpoint_time_s")
_MORE_ASIDE = ("overhead_time_s", "learning_rate", "grad_norm")


def trial_view(trial: Mapping[str, Any], *, chosen: str = "") -> RenderableType:
    """Returns what a trial's document (``show --json``) says, for people.

    Print it with ``crop=False``: paths stay in one line each, however long.

    Args:
        trial: the document.
        chosen: why it is this trial, where a sweep was named.
    """
    parts: list[RenderableType] = [Text(chosen)] if chosen else []
    parts += [
        Text.assemble(
            (f"Trial {trial['number']} ({trial['method']}, {trial['id']})", "bold"),
            f" of sweep {trial['sweep']}",
        ),
        _pairs(_standing(trial)),
        "",
        Text("Configuration", style="bold"),
        _pairs((name, value_text(value)) for name, value in trial["params"].items()),
    ]
    parts += _scores(trial)
    if trial["error"] is not None:
        error = trial["error"]
        # A traceback is indented, and says more than its last line.
        text = error["traceback"] or f"{error['type']}: {error['message']}"
        parts += ["", Text("Error", style="bold"), Padding(Text(text.rstrip()), (0, 0, 0, 2))]
    parts += ["", Text("Files", style="bold"), *_files(trial)]
    return Group(*parts)


def _standing(trial: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    status = trial["status"]
    if trial["superseded_by"]:
        status += f" by {trial['superseded_by']}"
    if trial["ended_by"]:
        status += f", ended by its {trial['ended_by']}"
    if trial["attempts"] > 1:
        status += f", {count(trial['attempts'], 'attempt')}"
    yield "status", status
    total = trial["steps_total"]
    yield "steps", f"{trial['steps']} of {total}" if total else str(trial["steps"])
    if trial["taken_from"]:
        yield "taken from", f"sweep {trial['taken_from']}, not trained here"
    if trial["attempts"]:
        steps, overhead = duration(trial["train_time_s"]), duration(trial["overhead_s"])
        yield "time", f"{duration(trial['wall_time_s'])}, {steps} in steps, overhead {overhead}"
    if trial["hosts"]:
        yield "ran on", ", ".join(trial["hosts"])
    if trial["trainable"]:
        share = f", {100 * trial['trainable'] / trial['total']:.3g} %" if trial["total"] else ""
        yield "trainable", f"{trial['trainable']:,} parameters{share}"
    yield "origin", trial["origin"]


def _scores(trial: Mapping[str, Any]) -> list[RenderableType]:
    shown: list[RenderableType] = []
    tables = [("Validation, last evaluation", trial["metrics"])]
    if trial["final"] is not None:
        final = trial["final"]
        rows = f"{final['rows']:,} rows"
        title = f"{final['split'].capitalize()}, after the search ({rows})"
        tables.append((title, final["metrics"]))
    for title, metrics in tables:
        # Of a document null is what is not a number.
        numbers = {
            name: math.nan if value is None else float(value)
            for name, value in metrics.items()
            if not name.startswith((*_ASIDE, *_MORE_ASIDE))
        }
        if numbers:
            table = metrics_table(_objective_first(numbers, trial["objective"]["metric"]), {}, {})
            shown += ["", Text(title, style="bold"), Padding(table, (0, 0, 0, 2))]
    return shown


def _objective_first(metrics: Mapping[str, float], objective: str) -> dict[str, float]:
    first = {name: metrics[name] for name in (objective,) if name in metrics}
    return {**first, **metrics}


def _files(trial: Mapping[str, Any]) -> list[RenderableType]:
    named = {name: trial[name] for name in ("folder", "adapter", "checkpoint") if trial[name]}
    lines = [f"  {path}" for path in named.values()]
    lines += [f"  MLflow run {run}" for run in trial["mlflow_runs"]]
    return [Text(line, no_wrap=True, overflow="ignore") for line in lines]


def _pairs(rows: Iterator[tuple[str, str]]) -> RenderableType:
    table = pair_table()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(f"  {name}", Text(value))
    return table
