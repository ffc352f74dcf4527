"""What a paper has published beside what a sweep found, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from sweeper.analysis.conclusions import SweepConclusions
from sweeper.analysis.ranking import Ranking
from sweeper.report.papers import beside_ours
from sweeper.report.terminal.sweep.conclusions import Paragraph
from sweeper.report.terminal.tables import row_table

__all__ = ["published_view"]

_WRAPPED = {"configuration", "verdict"}


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
        table = row_table()
        for title in shown.head:
            if title in _WRAPPED:
                table.add_column(title, overflow="fold")
            else:
                table.add_column(title, no_wrap=True)
        for row in shown.rows:
            table.add_row(*map(Text, row))
        yield table
    yield from (Paragraph(Text(sentence), indent=2) for sentence in shown.notes)
    yield ""
