"""Metrics of generated texts, programs and scores, by name, each with its standard error.

A metric is one module with one function over plain inputs. Values are fractions from 0 to 1, but
for perplexity. Libraries that only one of them needs are imported when it is asked for.
"""

from __future__ import annotations

from sweeper.evaluation.metrics.averages import macro_average, micro_average
from sweeper.evaluation.metrics.registry import METRICS, Metric, metric

__all__ = ["METRICS", "Metric", "macro_average", "metric", "micro_average"]
