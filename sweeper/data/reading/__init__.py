"""Rows as they stand in files and on the Hub, before they mean anything."""

from __future__ import annotations

from sweeper.data.reading.draws import Draw, ListedRows, Rows
from sweeper.data.reading.files import ReadRow, Row, read_rows
from sweeper.data.reading.hub import HubRows, HubSource, Split

__all__ = [
    "Draw",
    "HubRows",
    "HubSource",
    "ListedRows",
    "ReadRow",
    "Row",
    "Rows",
    "Split",
    "read_rows",
]
