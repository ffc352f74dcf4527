"""What is read of a file before it means anything: rows, each with its place."""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.errors import DataError

__all__ = ["ReadRow", "Row"]

Row = Mapping[str, object]
"""One row, by field."""
ReadRow = tuple[str, Row | DataError]
"""The place of a row, for messages, and the row, or why it is none."""
