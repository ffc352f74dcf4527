"""What a paper has published beside what a sweep found, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from sweeper.analysis.conclusions import SweepConclusions
from sweeper.analysis.ranking import Ranking
from sweeper.report.papers import BesideOurs, beside_ours
from sweeper.report.terminal.sweep.conclusions import Paragraph
from sweeper.report.terminal.tables import row_table

__all__ = ["published_view"]

# Cells that a column keeps, whose words are broken into lines: names, and the verdict's longest.
_WRAPPED = {"configuration": 13, "verdict": 15}
# Left out where there is no room: the table of configurations has it.
_SPARED = "here"


def published_view(found: SweepConclusions, ranking: Ranking) -> Iterator[RenderableType]:
    """Yields the section, an empty line at its end; nothing where no paper is asked again.

    Args:
        found: the conclusions of a sweep.
        ranking: of its trials.
    """
    shown = beside_ours(found, ranking)
    if shown is None:
        return
    yield Text(shown.title, style="bold")
    yield from (Paragraph(Text(sentence), indent=2) for sentence in shown.lead)
    if shown.rows:
        yield _Rows(shown)
    yield from (Paragraph(Text(sentence), indent=2) for sentence in shown.notes)
    yield ""


@dataclass(frozen=True)
class _Rows:
    """The table, as wide as the terminal allows."""

    shown: BesideOurs

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the table, without our scores where it would not fit."""
        whole = self._table("")
        wide = Measurement.get(console, options.update(max_width=1000), whole).maximum
        yield whole if wide <= options.max_width else self._table(_SPARED)

    def _table(self, spared: str) -> Table:
        table = row_table()
        kept = [place for place, title in enumerate(self.shown.head) if title != spared]
        for place in kept:
            title = self.shown.head[place]
            least = _WRAPPED.get(title)
            table.add_column(title, overflow="fold", no_wrap=least is None, min_width=least)
        for row in self.shown.rows:
            table.add_row(*(Text(row[place]) for place in kept))
        return table
