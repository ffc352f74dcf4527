"""One metric of ``evaluation.metrics``: a name, or a Python function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from sweeper._text import nearest
from sweeper.experiment.metrics.functions import PythonMetricSpec
from sweeper.experiment.metrics.modes import METRIC_MODES

__all__ = ["MetricEntry", "metric_name"]

# It runs programs on the tests of HumanEval's rows, which no other rows have.
_OF_TASKS_ALONE = {"pass_at_1"}


def _entry(value: object) -> object:
    """Returns one metric of ``evaluation.metrics``, checked; ValueError where it is none."""
    if isinstance(value, Mapping):
        # Its own errors have their places within the entry.
        return PythonMetricSpec.model_validate(value)
    if isinstance(value, PythonMetricSpec):
        return value
    known = [name for name in METRIC_MODES if name not in _OF_TASKS_ALONE]
    if not isinstance(value, str):
        raise ValueError("a metric is a name, or {python: FILE.py:FUNCTION, mode: max}; write one")
    if value in _OF_TASKS_ALONE:
        raise ValueError(
            f"{value} runs programs on the tests that HumanEval's rows have; other rows have none; "
            "use data: {kind: tasks, evaluate: [humaneval]}, or another metric"
        )
    if value not in known:
        instead = {"accuracy": "choice", "rouge": "rouge_l", "em": "exact", "exact_match": "exact"}
        hint = nearest(value, known)
        if value.lower() in instead:
            hint = f"; did you mean {instead[value.lower()]!r}?"
        own = "" if hint else "; a function of your own is {python: FILE.py:FUNCTION, mode: max}"
        raise ValueError(f"no metric of this name; known: {', '.join(known)}{hint}{own}")
    return value


MetricEntry = Annotated[str | PythonMetricSpec, BeforeValidator(_entry)]
"""One metric of ``evaluation.metrics``: a name, or a Python function."""


def metric_name(entry: str | PythonMetricSpec) -> str:
    """Returns the name of a metric of ``evaluation.metrics``."""
    return entry if isinstance(entry, str) else entry.name
