"""A sweep, or several, as one HTML file that opens from disk and loads nothing."""

from __future__ import annotations

from sweeper.report.page.subject import Subject, subject_of
from sweeper.report.page.writing import page_text, write_page, write_sweep_page

__all__ = ["Subject", "page_text", "subject_of", "write_page", "write_sweep_page"]
