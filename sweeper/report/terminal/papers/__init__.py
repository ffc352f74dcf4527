"""The papers' tables and figures in the terminal: all of them, and how one of them is asked."""

from __future__ import annotations

from sweeper.report.terminal.papers.listing import papers_view
from sweeper.report.terminal.papers.protocol import protocol_view

__all__ = ["papers_view", "protocol_view"]
