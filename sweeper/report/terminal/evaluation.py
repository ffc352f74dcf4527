"""The result of a trial's evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweeper._text import duration
from sweeper.estimates import estimate_of
from sweeper.report.terminal.tables import row_table

__all__ = ["evaluation_view", "metrics_table"]


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
        *(Text(note) for note in evaluation["notes"]),
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
    return f"{asked}, {left_out:,} left out (answer too long)" if left_out else asked


def _table(evaluation: Mapping[str, Any]) -> Table:
    metrics, base = _numbers(evaluation["metrics"]), _numbers(evaluation["base_metrics"])
    return metrics_table(metrics, base, _numbers(evaluation["gains"]))


def metrics_table(
    metrics: Mapping[str, float],
    base: Mapping[str, float],
    gains: Mapping[str, float],
    *,
    names: Sequence[str] = (),
) -> Table:
    """Returns metrics of a trial beside those of the frozen base.

    Args:
        metrics: of the trial, each with its standard error under ``<name>_se``.
        base: of the base, in the same way; no column where empty.
        gains: trial minus base, in the same way; no column where empty.
        names: that are shown; all where empty.
    """
    columns = {"trial": metrics, "base": base, "difference": gains}
    shown = {title: numbers for title, numbers in columns.items() if numbers or title == "trial"}
    table = row_table()
    table.add_column("metric", overflow="fold")
    for title in shown:
        table.add_column(title, justify="right", no_wrap=True)
    for name in names or metrics:
        if name.removesuffix("_se") != name and name.removesuffix("_se") in metrics:
            continue
        cells = {title: _text(numbers, name) for title, numbers in shown.items()}
        if gains.get(name, -1) >= 0 and cells["difference"] != "–":
            cells["difference"] = f"+{cells['difference']}"
        table.add_row(name, *cells.values())
    return table


def _text(metrics: Mapping[str, float], name: str) -> str:
    score = estimate_of(metrics, name)
    if score is not None:
        return str(score)
    return str(metrics[name]) if name in metrics else "–"


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Returns metrics of a document, in which what is no finite number is a text."""
    return {name: float(value) for name, value in metrics.items()}
