"""What the terminal shows: the live table, the leaderboard, the plan, the doctor's findings."""

from __future__ import annotations

from sweeper.report.leaderboard import next_commands, sweep_view
from sweeper.report.live import LiveTable
from sweeper.report.views import doctor_view, plan_view

__all__ = ["LiveTable", "doctor_view", "next_commands", "plan_view", "sweep_view"]
