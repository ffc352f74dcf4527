"""What a sweep may still begin within its limits."""

from __future__ import annotations

from sweeper.search.limits.keeping import CAUTION, TimeKeeper, TrialTimes, may_begin

__all__ = ["CAUTION", "TimeKeeper", "TrialTimes", "may_begin"]
