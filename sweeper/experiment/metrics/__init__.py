"""Metrics by name: which values are better, and which ones score data of one's own."""

from __future__ import annotations

from sweeper.experiment.metrics.entries import MetricEntry, metric_name
from sweeper.experiment.metrics.functions import PythonMetricSpec
from sweeper.experiment.metrics.locating import locate_functions, own_modes
from sweeper.experiment.metrics.modes import METRIC_MODES, MODES, Mode, mode_of

__all__ = [
    "METRIC_MODES",
    "MODES",
    "MetricEntry",
    "Mode",
    "PythonMetricSpec",
    "locate_functions",
    "metric_name",
    "mode_of",
    "own_modes",
]
