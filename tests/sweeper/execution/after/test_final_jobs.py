"""How far the evaluation after the search is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sweeper.execution.after.final_jobs import final_progress
from sweeper.experiment.sweep import FinalSpec
from sweeper.tracking.final_result import FinalResult, write_final


def test_each_evaluation_that_ends_is_counted(tmp_path):
    final = FinalSpec()
    jobs: list[Any] = []
    for name in ("best", "second", "base"):
        (tmp_path / name).mkdir()
        jobs.append(SimpleNamespace(folder=tmp_path / name, final=final))
    # One that could not be had before is done again.
    write_final(tmp_path / "second", FinalResult.failed(final, "no room"))
    told = final_progress(jobs)
    assert told() == "final evaluation on test: 0 of 3 done"
    result = FinalResult(split="test", rows=1, rows_in_split=1, metrics={"accuracy": 0.5})
    write_final(tmp_path / "base", result)
    assert told() == "final evaluation on test: 1 of 3 done"
    write_final(tmp_path / "second", result)
    assert told() == "final evaluation on test: 2 of 3 done"
    write_final(tmp_path / "best", result)
    # What is over needs no line.
    assert told() == ""


def test_without_evaluations_nothing_is_said():
    assert final_progress([])() == ""
