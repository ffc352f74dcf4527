"""A trained adapter as files that other programs load, compared with the adapter of the trial."""

from __future__ import annotations

from sweeper.export.exporting import Export, export_trial
from sweeper.export.formats import EXPORT_FORMATS, ExportFormat

__all__ = ["EXPORT_FORMATS", "Export", "ExportFormat", "export_trial"]
