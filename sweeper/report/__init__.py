"""A sweep shown: as a document, and in the terminal."""

from __future__ import annotations

from sweeper.report.document import sweep_result

__all__ = ["sweep_result"]
