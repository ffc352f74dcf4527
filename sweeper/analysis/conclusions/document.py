"""Conclusions as plain JSON: the objects, and the words that the terminal has."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from sweeper.analysis.conclusions.sweep import SweepConclusions
from sweeper.analysis.published import published_document
from sweeper.analysis.statistics.verdicts import Statement, Unit, words

__all__ = ["conclusions_document"]


def conclusions_document(found: SweepConclusions) -> dict[str, Any]:
    """Returns the conclusions of a sweep as plain JSON.

    Numbers are in units of the metric, positive where the first is better; a number that is not
    finite is null.

    Args:
        found: the conclusions.
    """
    return {
        "metric": found.metric,
        "delta": found.delta,
        "split": None if found.table is None else found.table.split,
        "rows": None if found.table is None else len(found.table.strata),
        "design": None if found.plan is None else found.plan.document(),
        "parity": [dataclasses.asdict(line) for line in found.parity],
        "statements": [_statement(each, found.unit) for each in found.statements],
        "differences": None if found.differences is None else _plain(found.differences),
        "published": None if found.published is None else published_document(found.published),
        "why_none": found.why_none or None,
        "sentences": list(found.sentences),
    }


def _statement(statement: Statement, unit: Unit) -> dict[str, Any]:
    fields = {
        field.name: _plain(getattr(statement, field.name))
        for field in dataclasses.fields(statement)
    }
    return {"type": type(statement).__name__, "sentence": words(statement, unit).sentence, **fields}


def _plain(value: object) -> Any:  # noqa: ANN401 - any JSON
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {x.name: _plain(getattr(value, x.name)) for x in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
