"""What scores on rows allow to be said of configurations: one primitive, one module an idea."""

from __future__ import annotations

from sweeper.analysis.statistics.table import ConfigurationScores, ScoreTable

__all__ = ["ConfigurationScores", "ScoreTable"]
