"""Rows as they stand in files and on the Hub, before they mean anything."""

from __future__ import annotations

from sweeper.data.reading.files import READABLE, ROW_FILES, read_rows, text_rows
from sweeper.data.reading.folders import Layout, layout_of
from sweeper.data.reading.hub import HubRows, HubSource, Split
from sweeper.data.reading.json_rows import WrittenNumber
from sweeper.data.reading.rows import Draw, ListedRows, ReadRow, Row, Rows

__all__ = [
    "READABLE",
    "ROW_FILES",
    "Draw",
    "HubRows",
    "HubSource",
    "Layout",
    "ListedRows",
    "ReadRow",
    "Row",
    "Rows",
    "Split",
    "WrittenNumber",
    "layout_of",
    "read_rows",
    "text_rows",
]
