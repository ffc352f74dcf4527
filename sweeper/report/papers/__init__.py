"""What papers have published, as texts for terminal and page: beside ours, and by itself."""

from __future__ import annotations

from sweeper.report.papers.beside import BesideOurs, beside_ours
from sweeper.report.papers.listing import (
    PaperFile,
    find_paper,
    listing_document,
    paper_files,
    runs_of,
)
from sweeper.report.papers.protocol import how_to_read, protocol_document

__all__ = [
    "BesideOurs",
    "PaperFile",
    "beside_ours",
    "find_paper",
    "how_to_read",
    "listing_document",
    "paper_files",
    "protocol_document",
    "runs_of",
]
