"""All that can be known before anything starts."""

from __future__ import annotations

from sweeper.preflight.checks import require_runnable
from sweeper.preflight.counting import CountedTrial, count_trials
from sweeper.preflight.data import check_sweep_data
from sweeper.preflight.doctor import InstallFinding, examine
from sweeper.preflight.plan import Plan, PlannedTrial, plan_of
from sweeper.preflight.room import Cluster, require_room

__all__ = [
    "Cluster",
    "CountedTrial",
    "InstallFinding",
    "Plan",
    "PlannedTrial",
    "check_sweep_data",
    "count_trials",
    "examine",
    "plan_of",
    "require_room",
    "require_runnable",
]
