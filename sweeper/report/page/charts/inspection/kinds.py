"""Which charts an inspection has."""

from __future__ import annotations

from collections.abc import Iterator

from sweeper.analysis.inspection import (
    Conflict,
    Diversity,
    Inspection,
    Projection,
    Similarity,
    Spectra,
)
from sweeper.report.page.charts.base import Chart
from sweeper.report.page.charts.inspection.conflict import conflict_chart
from sweeper.report.page.charts.inspection.diversity import diversity_chart
from sweeper.report.page.charts.inspection.projection import projection_charts
from sweeper.report.page.charts.inspection.similarity import similarity_charts
from sweeper.report.page.charts.inspection.spectra import spectra_chart

__all__ = ["inspection_charts"]


def inspection_charts(found: Inspection, *, number: int) -> Iterator[Chart]:
    """Yields the charts of an inspection.

    Args:
        found: by the inspection.
        number: of the trial in its sweep.
    """
    name = f"trial-{number}-{found.kind}"
    match found:
        case Similarity():
            yield from similarity_charts(found, name=name)
        case Projection():
            yield from projection_charts(found, name=name)
        case Spectra():
            yield spectra_chart(found, name=name)
        case Diversity():
            yield diversity_chart(found, name=name)
        case Conflict():
            yield conflict_chart(found, name=name)
