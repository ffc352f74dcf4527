"""What scores on rows allow to be said of configurations: one primitive, one module an idea."""

from __future__ import annotations

from sweeper.analysis.statistics.primitive import Components, components_of
from sweeper.analysis.statistics.table import ConfigurationScores, ScoreTable

__all__ = ["Components", "ConfigurationScores", "ScoreTable", "components_of"]
