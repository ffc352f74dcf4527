"""The chosen adapter against the frozen base: of this adapter alone, on the same rows."""

from __future__ import annotations

import re

import numpy as np
import pytest

from sweeper.analysis.conclusions.base import base_table, counted_text, over_base
from sweeper.analysis.ranking import rank_sweep
from sweeper.tracking import FinalResult, SweepFolder, write_final
from sweeper.tracking.final_result import FINAL_FILE
from sweeper.tracking.row_scores import FINAL_ROWS
from tests.sweeper.designs import LORA, MOSA, DesignSweep, sweep_of
from tests.sweeper.rows import row_scores

PAIRED = {"kind": "paired", "tune": None, "seeds": 2}


@pytest.fixture
def made(tmp_path):
    return DesignSweep(tmp_path, sweep_of(PAIRED, [LORA, MOSA])).run()


def asked(made, *, delta=None, is_fraction=True):
    folder = SweepFolder(made.folder.path)
    ranking, metric = rank_sweep(folder), folder.objective().metric
    table = base_table(ranking, metric, sign=-ranking.sign)
    return over_base(table, delta=delta, is_fraction=is_fraction)


@pytest.mark.parametrize(("base", "kind"), [(0.4, "better"), (0.6, "worse"), (0.5, "equivalent")])
def test_an_adapter_is_compared_with_the_base_as_an_adapter(made, base, kind):
    made.test(made.folder.path, base)
    (found,) = asked(made)
    best = rank_sweep(made.folder).best
    assert found.names == (
        f"The adapter of trial {best.number} ({best.method})",
        "the frozen base",
    )
    assert found.kind == kind
    assert (found.basis.claim, found.basis.split, found.basis.members) == ("adapters", "test", 1)
    assert found.caveats == ()


def test_delta_is_that_of_the_sweep_else_the_base_is_the_control(made):
    made.test(made.folder.path, 0.4)
    assert asked(made)[0].delta == 0.01
    assert asked(made, is_fraction=False)[0].delta == pytest.approx(0.02 * 0.4, rel=1e-3)
    assert asked(made, delta=0.03)[0].delta == 0.03


def test_rows_that_chose_the_adapter_flatter_it(made):
    best = rank_sweep(made.folder).best
    for path in (made.folder.trial(best.id).path, made.folder.path):
        (path / FINAL_FILE).unlink(missing_ok=True)
        result = FinalResult(split="validation", rows=200, rows_in_split=200)
        write_final(path, result, made.scores(0.5, "validation"))
    (found,) = asked(made)
    assert found.basis.split == "validation"
    assert found.caveats == ("These rows chose the adapter, which flatters it",)


def test_a_design_has_one_delta(tmp_path):
    sweep = sweep_of(PAIRED | {"delta": 0.002})
    made = DesignSweep(tmp_path, sweep).run()
    made.test(made.folder.path, 0.4)
    found = made.conclusions().statements
    assert {each.delta for each in found if hasattr(each, "delta")} == {0.002}
    assert found[-1].names[1] == "the frozen base"


def test_without_the_base_nothing_is_said_of_it(made):
    assert asked(made) == ()


def test_other_rows_are_not_compared(made):
    made.test(made.folder.path, 0.4, fingerprint="f" * 16)
    assert asked(made) == ()


@pytest.mark.parametrize(
    "rows",
    [
        row_scores({"other": [0.5] * 200}, fingerprint="0" * 16),
        row_scores({"accuracy": [0.5] * 199}, fingerprint="0" * 16),
        row_scores({"accuracy": [*[0.5] * 199, np.nan]}, fingerprint="0" * 16),
    ],
    ids=["another metric", "a row less", "no number"],
)
def test_what_cannot_be_compared_is_not(made, rows):
    write_final(made.folder.path, FinalResult(split="test", rows=9, rows_in_split=9), rows)
    assert asked(made) == ()


def test_damaged_rows_of_the_base_are_passed_over(made):
    made.test(made.folder.path, 0.4)
    (made.folder.path / FINAL_ROWS).write_bytes(b"PK")
    assert asked(made) == ()


def test_the_means_that_the_difference_is_of_are_told(tmp_path):
    made = DesignSweep(tmp_path, sweep_of(PAIRED, [LORA, MOSA]))
    # Half of the rows are one unit.
    made.clusters = [max(0, row - 100) for row in range(200)]
    made.run()
    made.test(made.folder.path, 0.4)
    ranking = rank_sweep(SweepFolder(made.folder.path))
    table = base_table(ranking, "accuracy", sign=1)
    text = counted_text(None, table, "accuracy", sign=1)
    assert "the 200 test rows are 100 independent ones. Over these the adapter of trial" in text
    means = re.search(r"accuracy (\S+) ± \S+ and the frozen base (\S+) ±", text)
    own, base = map(float, means.groups())
    (found,) = over_base(table, delta=None, is_fraction=True)
    assert own - base == pytest.approx(found.estimate, abs=0.002)
    assert counted_text(None, None, "accuracy", sign=1) == ""
