"""What may be concluded from measurements on the same rows."""

from __future__ import annotations

from sweeper.analysis.statistics.paired import difference, differences

__all__ = ["difference", "differences"]
