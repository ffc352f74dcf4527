"""What the terminal shows: table of a sweep, plan, counts, exports, evaluations, findings."""

from __future__ import annotations

from sweeper.report.terminal.counts import params_view
from sweeper.report.terminal.data_check import data_check_view
from sweeper.report.terminal.doctor import doctor_view, dry_run_view
from sweeper.report.terminal.evaluation import evaluation_view
from sweeper.report.terminal.export import export_view
from sweeper.report.terminal.forecast import batch_text, costs_text
from sweeper.report.terminal.papers import papers_view, protocol_view
from sweeper.report.terminal.plan import (
    dropped_text,
    earlier_text,
    plan_view,
    taken_text,
)
from sweeper.report.terminal.start import start_view
from sweeper.report.terminal.sweep.leaderboard import next_commands, sweep_view
from sweeper.report.terminal.sweep.live import LiveTable
from sweeper.report.terminal.sweep.standing import standing_view, standings_view
from sweeper.report.terminal.trial import trial_view

__all__ = [
    "LiveTable",
    "batch_text",
    "costs_text",
    "data_check_view",
    "doctor_view",
    "dropped_text",
    "dry_run_view",
    "earlier_text",
    "evaluation_view",
    "export_view",
    "next_commands",
    "papers_view",
    "params_view",
    "plan_view",
    "protocol_view",
    "standing_view",
    "standings_view",
    "start_view",
    "sweep_view",
    "taken_text",
    "trial_view",
]
