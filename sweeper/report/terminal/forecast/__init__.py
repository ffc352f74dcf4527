"""What the terminal says of a sweep before it starts: what it will cost, and its micro-batch."""

from __future__ import annotations

from sweeper.report.terminal.forecast.costs import batch_text, costs_lines, costs_text

__all__ = ["batch_text", "costs_lines", "costs_text"]
