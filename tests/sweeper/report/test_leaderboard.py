"""The leaderboard as a table of values, and a sweep in numbers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from sweeper.analysis.ranking import rank
from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.report.leaderboard import leaderboard_document, summary_of
from sweeper.tracking.final_result import FinalResult
from sweeper.tracking.record import TrialRecord

ACCURACY = ObjectiveSpec(metric="accuracy", mode="max")


def record(number, status="complete", value=None, **params):
    metrics = {} if value is None else {"accuracy": value, "accuracy_se": 0.01}
    fields = {"id": f"{number:012x}", "number": number, "method": "lora", "params": params}
    return TrialRecord(**fields, status=status, metrics=metrics, steps=8, wall_time_s=1.5)


def ranking():
    found = rank(
        [
            record(0, value=0.5, rank=4, alpha=16, targets=["q"]),
            record(1, value=0.75, rank=8, alpha=16, targets=["q"]),
            record(2, status="failed", rank=math.inf, alpha=16, targets=["q"]),
        ],
        ACCURACY,
        base_scores={"accuracy": 0.25},
    )
    final = FinalResult(split="test", rows=9, rows_in_split=9, metrics={"accuracy": 0.625})
    return replace(found, finals={f"{1:012x}": final})


def test_the_best_is_first_and_numbers_are_numbers():
    table: Any = leaderboard_document(ranking())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [(row["place"], row["trial"]) for row in rows] == [(1, 1), (2, 0), (None, 2)]
    best = rows[0]
    assert (best["rank"], best["accuracy"], best["test accuracy"]) == (8, 0.75, 0.625)
    assert best["accuracy standard error"] == 0.01
    # What is the same for all would only fill the table.
    assert "alpha" not in best
    assert rows[2]["accuracy"] is None
    # MLflow reads strict JSON.
    json.dumps(table, allow_nan=False)


def test_a_sweep_in_numbers():
    found = summary_of(ranking())
    assert (found.objective, found.best, found.best_final) == ("accuracy", 0.75, 0.625)
    assert (found.base, found.trials) == (0.25, {"complete": 2, "failed": 1})
    assert found.wall_time_s == 4.5


def test_without_trials_there_is_nothing():
    empty = rank([], ACCURACY)
    assert leaderboard_document(empty)["data"] == []
    assert summary_of(empty).best is None
