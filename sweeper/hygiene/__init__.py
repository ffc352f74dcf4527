"""What is wrong with data: evaluation rows inside training rows, duplicates, bad rows."""

from __future__ import annotations

from sweeper.hygiene.checking import check_data, demand_clean
from sweeper.hygiene.findings import DataCheck, Finding, Shown
from sweeper.hygiene.settings import HygieneSpec

__all__ = ["DataCheck", "Finding", "HygieneSpec", "Shown", "check_data", "demand_clean"]
