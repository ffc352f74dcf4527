"""The charts of the page: Vega-Lite specifications as plain values."""

from __future__ import annotations

from sweeper.report.page.charts.base import Chart, Spec, columns_of
from sweeper.report.page.charts.comparison import comparison_charts
from sweeper.report.page.charts.inspection import inspection_charts
from sweeper.report.page.charts.learning import learning_charts
from sweeper.report.page.charts.rates import rate_charts
from sweeper.report.page.charts.search import importance_charts, parallel_charts
from sweeper.report.page.charts.tradeoff import tradeoff_charts

__all__ = [
    "Chart",
    "Spec",
    "columns_of",
    "comparison_charts",
    "importance_charts",
    "inspection_charts",
    "learning_charts",
    "parallel_charts",
    "rate_charts",
    "tradeoff_charts",
]
