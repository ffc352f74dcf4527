"""An inspection of a trial shown: its tables, for terminal and page, and the terminal's view."""

from __future__ import annotations

from sweeper.report.inspection.tables import basis_text, inspection_tables
from sweeper.report.inspection.view import inspection_view

__all__ = ["basis_text", "inspection_tables", "inspection_view"]
