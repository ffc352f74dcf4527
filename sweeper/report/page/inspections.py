"""What inspections of a sweep's trials have found, as the page shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sweeper.analysis.inspection import read_inspections
from sweeper.report.inspection import basis_text, inspection_tables
from sweeper.report.page.charts import Chart, inspection_charts
from sweeper.report.page.subject import Subject
from sweeper.report.page.tables import Table

__all__ = ["ShownInspection", "shown_inspections"]


@dataclass(frozen=True, eq=False)
class ShownInspection:
    """An inspection of one trial.

    Attributes:
        title: What was looked into, of which trial.
        basis: What it rests on.
        statements: What follows, a sentence each.
        charts: Of it.
        tables: Each with its title.
    """

    title: str
    basis: str
    statements: tuple[str, ...]
    charts: tuple[Chart, ...]
    tables: tuple[tuple[str, Table], ...]


def shown_inspections(subject: Subject) -> Iterator[ShownInspection]:
    """Yields the inspections of a sweep's trials, by the trial's number."""
    for record in sorted(subject.ranking.trials, key=lambda record: record.number):
        for found in read_inspections(subject.folder.trial(record.id)):
            tables = [
                (title, Table(tuple(x.title for x in columns), _rows([x.cells for x in columns])))
                for title, columns in inspection_tables(found)
            ]
            yield ShownInspection(
                title=f"{found.kind.capitalize()} of trial {record.number} ({found.method})",
                basis=f"{basis_text(found)}.",
                statements=(*found.statements, *found.notes),
                charts=tuple(inspection_charts(found, number=record.number)),
                tables=tuple(tables),
            )


def _rows(columns: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(zip(*columns, strict=True))
