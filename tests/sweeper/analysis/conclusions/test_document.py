"""Conclusions as JSON: strict, and in the words of the terminal."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from sweeper.analysis.conclusions import conclusions_document
from sweeper.analysis.ranking import rank_sweep
from sweeper.report.document import sweep_result
from sweeper.report.terminal import sweep_view
from tests.sweeper.designs import LORA, MASA, MOSA, DesignSweep, by_method, peaked, sweep_of

PAIRED = {"kind": "paired", "tune": None, "seeds": 3}
TUNED = {"kind": "paired", "rates": {"low": 1e-3, "high": 4e-3, "count": 4}, "seeds": 2}
SEARCH = {"search": {"trials": 2}}


def plain(found):
    return json.loads(json.dumps(conclusions_document(found), allow_nan=False))


def test_the_document_has_the_objects_and_the_words(tmp_path):
    made = DesignSweep(tmp_path, sweep_of(PAIRED | {"delta": 0.02})).run(by_method(mosa=0.55))
    found = made.conclusions()
    document = plain(found)
    assert (document["metric"], document["delta"]) == ("accuracy", 0.02)
    assert (document["split"], document["rows"]) == ("test", 200)
    assert document["design"]["kind"] == "paired"
    assert document["why_none"] is None
    assert document["sentences"] == list(found.sentences)
    assert [line["text"] for line in document["parity"]] == [line.text for line in found.parity]
    best, pair = document["statements"]
    assert (best["type"], best["members"]) == ("BestSet", ["mosa"])
    assert (pair["type"], pair["kind"], pair["names"]) == ("Conclusion", "worse", ["lora", "mosa"])
    assert pair["interval"] == list(found.statements[1].interval)
    assert pair["basis"]["seeds"] == [3, 3]
    assert [each["sentence"] for each in document["statements"]] == document["sentences"][:2]


def test_a_number_that_is_not_finite_is_null(tmp_path):
    # Rows that do not differ have no spread, so that degrees of freedom have no end.
    made = DesignSweep(tmp_path, sweep_of(PAIRED))
    made.rows[:] = 0
    document = plain(made.run().conclusions())
    assert document["statements"]


def test_without_a_comparison_it_says_why(tmp_path):
    document = plain(DesignSweep(tmp_path, sweep_of(PAIRED)).run(seeds=[0]).conclusions())
    assert document["statements"] == []
    assert (document["split"], document["delta"]) == ("test", 0.01)
    assert document["why_none"].startswith("Nothing is concluded before 3 seeds")


@pytest.mark.parametrize(
    ("design", "methods", "changes"),
    [
        (PAIRED, [LORA, MOSA], {}),
        (TUNED, [LORA, MASA], {}),
        (PAIRED | {"seeds": "3/5/10"}, [LORA, MASA], {}),
        (None, [{"name": "lora", "rank": {"choice": [2, 4]}}], SEARCH),
    ],
)
def test_terminal_json_and_sentences_say_the_same(tmp_path, design, methods, changes):
    made = DesignSweep(tmp_path, sweep_of(design, methods, **changes))
    made.run(peaked, seeds=range(2) if design and design["seeds"] == "3/5/10" else None)
    made.test(made.folder.path, 0.4)
    found, ranking = made.conclusions(), rank_sweep(made.folder)
    file = io.StringIO()
    console = Console(file=file, width=2000, force_terminal=False)
    console.print(sweep_view(made.folder, ranking, found), crop=False)
    terminal = [line.strip() for line in file.getvalue().splitlines()]
    document = sweep_result(made.folder, ranking, found, tracking_uri="")["conclusions"]
    assert len(document["sentences"]) >= 2
    assert document["sentences"] == list(found.sentences)
    for sentence in found.sentences:
        assert sentence in terminal
    for line in found.parity:
        assert f"{'ok' if line.holds else 'no'}  {line.text}." in terminal
    assert bool(found.parity) is (design is not None)
    # Parity stands before any verdict.
    if found.parity:
        assert terminal.index("Parity") < terminal.index("Verdicts")
