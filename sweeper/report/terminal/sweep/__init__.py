"""A sweep in the terminal: while it runs, and what it allows to be said at its end."""

from __future__ import annotations

from sweeper.report.terminal.sweep.board import Leaderboard
from sweeper.report.terminal.sweep.leaderboard import next_commands, sweep_view
from sweeper.report.terminal.sweep.live import LiveTable

__all__ = ["Leaderboard", "LiveTable", "next_commands", "sweep_view"]
