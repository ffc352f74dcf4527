"""The charts of inspections: similarity, separability, spectra, experts, gradients."""

from __future__ import annotations

from sweeper.report.page.charts.inspection.kinds import inspection_charts

__all__ = ["inspection_charts"]
