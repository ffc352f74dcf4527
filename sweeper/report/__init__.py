"""What the terminal shows: table of a sweep, plan, counts, exports, evaluations, findings."""

from __future__ import annotations

from sweeper.report.data_check import data_check_view
from sweeper.report.evaluation import evaluation_view
from sweeper.report.export import export_view
from sweeper.report.leaderboard import next_commands, sweep_view
from sweeper.report.live import LiveTable
from sweeper.report.params import params_view
from sweeper.report.views import doctor_view, plan_view

__all__ = [
    "LiveTable",
    "data_check_view",
    "doctor_view",
    "evaluation_view",
    "export_view",
    "next_commands",
    "params_view",
    "plan_view",
    "sweep_view",
]
