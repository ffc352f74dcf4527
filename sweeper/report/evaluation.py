"""What an evaluation of a trial has found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweeper.report.words import duration
from sweeper.scores import score_of

__all__ = ["evaluation_view"]


def evaluation_view(evaluation: Mapping[str, Any], *, chosen: str = "") -> RenderableType:
    """Returns what an evaluation's document (``evaluate --json``) says, for people.

    Print it with ``crop=False``: the file stays in one line, however long.

    Args:
        evaluation: the document.
        chosen: why it is this trial, where a sweep was named.
    """
    parts: list[RenderableType] = [Text(chosen)] if chosen else []
    by = evaluation["evaluator"]
    if by != "sweeper":
        by += f" {evaluation['protocol']['version']}"
    parts += [
        Text.assemble(
            (f"Evaluated trial {evaluation['trial']}", "bold"),
            f" ({evaluation['method']}) of sweep {evaluation['sweep']}",
        ),
        Text(f"  by {by}, {_rows(evaluation)}, in {duration(evaluation['wall_time_s'])}"),
        "",
        _table(evaluation),
        "",
        Text(f"  {evaluation['path']}", no_wrap=True, overflow="ignore"),
    ]
    return Group(*parts)


def _rows(evaluation: Mapping[str, Any]) -> str:
    rows = evaluation["rows"]
    total = f"{sum(rows.values()):,} rows"
    where = f" of the {evaluation['split']} split" if evaluation["split"] else ""
    of = ", ".join(f"{task} {count:,}" for task, count in rows.items())
    asked = f"{total}{where} ({of})" if 1 < len(rows) <= 8 else total + where
    left_out = sum(evaluation["rows_left_out"].values())
    return f"{asked}, {left_out:,} left out (answers too long)" if left_out else asked


def _table(evaluation: Mapping[str, Any]) -> Table:
    metrics, base = _numbers(evaluation["metrics"]), _numbers(evaluation["base_metrics"])
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("metric", overflow="fold")
    table.add_column("trial", justify="right", no_wrap=True)
    if base:
        table.add_column("base", justify="right", no_wrap=True)
    for name in metrics:
        if name.removesuffix("_se") != name and name.removesuffix("_se") in metrics:
            continue
        values = [_text(metrics, name), *([_text(base, name)] if base else [])]
        table.add_row(name, *values)
    return table


def _text(metrics: Mapping[str, float], name: str) -> str:
    score = score_of(metrics, name)
    if score is not None:
        return str(score)
    return str(metrics[name]) if name in metrics else "–"


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Returns metrics of a document, in which what is no finite number is a text."""
    return {name: float(value) for name, value in metrics.items()}
