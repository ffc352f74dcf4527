"""The configurations of a design in a table, or its tuned methods."""

from __future__ import annotations

from rich.table import Table

from sweeper.analysis.conclusions import SweepConclusions
from sweeper.analysis.ranking import Ranking
from sweeper.report.configurations import configuration_rows
from sweeper.report.terminal.tables import row_table

__all__ = ["configurations_table"]

_NUMBERS = {"seeds", "best rate", "trainable"}


def configurations_table(found: SweepConclusions, ranking: Ranking) -> Table | None:
    """Returns what :func:`sweeper.report.configurations.configuration_rows` returns as a table.

    Args:
        found: the conclusions of a sweep.
        ranking: of its trials.

    Returns:
        None where there is no design, or no score.
    """
    shown = configuration_rows(found, ranking)
    if shown is None:
        return None
    (name, *titles), rows = shown
    table = row_table()
    table.add_column(name, overflow="fold")
    for title in titles:
        table.add_column(title, justify="right" if title in _NUMBERS else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
