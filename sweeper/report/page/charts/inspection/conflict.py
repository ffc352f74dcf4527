"""Cosines of the gradients of each two tasks."""

from __future__ import annotations

from sweeper.analysis.inspection import Conflict
from sweeper.report.page.charts.base import Chart, Spec, num
from sweeper.report.page.charts.inspection.heat import heat_spec

__all__ = ["conflict_chart"]


def conflict_chart(found: Conflict, *, name: str) -> Chart:
    """Returns the grid of tasks.

    Args:
        found: by the inspection.
        name: of the chart.
    """
    tasks = [task.task for task in found.tasks]
    cells: list[Spec] = []
    for pair in found.pairs:
        value, error = pair.cosine.value, pair.cosine.se
        own = {
            "v": None if value is None else num(value),
            "se": None if error is None else num(error),
        }
        cells += [
            {"x": pair.first, "y": pair.second, **own},
            {"x": pair.second, "y": pair.first, **own},
        ]
    return Chart(
        name=name,
        title=f"Cosines of the tasks' gradients: {found.method}",
        note=(
            f"{found.rows:,} {found.split} rows, {found.batches} batches of each task, one "
            "adapter; debiased. Grey: a gradient that is not told from noise. Many of the others "
            "are not told from 0: the table says which."
        ),
        spec=heat_spec(cells, columns=tasks, rows=tasks, domain=(-1, 1), title="cosine"),
    )
