"""What the terminal shows: live table, leaderboard, plan, parameters, the doctor's findings."""

from __future__ import annotations

from sweeper.report.leaderboard import next_commands, sweep_view
from sweeper.report.live import LiveTable
from sweeper.report.params import params_view
from sweeper.report.views import doctor_view, plan_view

__all__ = [
    "LiveTable",
    "doctor_view",
    "next_commands",
    "params_view",
    "plan_view",
    "sweep_view",
]
