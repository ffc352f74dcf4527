"""Problems of data: evaluation rows in the training rows, duplicates, bad rows."""

from __future__ import annotations

from sweeper.data.hygiene.checking import check_data, require_clean
from sweeper.data.hygiene.findings import DataCheck, Finding, Shown
from sweeper.data.hygiene.settings import HygieneSpec

__all__ = ["DataCheck", "Finding", "HygieneSpec", "Shown", "check_data", "require_clean"]
