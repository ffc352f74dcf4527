"""How an item is asked, as a document and for people."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sweeper.experiment.loading import load_sweep
from sweeper.report.papers import how_to_read, paper_files, protocol_document
from sweeper.report.terminal import papers_view, protocol_view
from tests.places import SPACES


def document(name, profile="embedded"):
    sweep = load_sweep(SPACES / "papers" / f"{name}.yaml", profile=profile)
    return protocol_document(sweep, profiles=("embedded", "smollm2", profile))


def text_of(view, width=80):
    stream = io.StringIO()
    Console(file=stream, width=width).print(view)
    return stream.getvalue()


def test_a_protocol_says_what_is_compared_by_what_and_beside_what():
    found = document("masa_table1", "masa-law")
    assert (found["trials"], found["seeds"], len(found["arms"])) == (55, 5, 11)
    assert (found["compared_by"], found["baseline"]) == ("accuracy", "lora-r16")
    assert found["column"] == "Law (MMLU) of LLaMA3-8B, %"
    rows = {row["arm"]: row for row in found["published"]}
    assert rows["masa-5a1b"]["values"] == [59.62, 25.41, 58.98, 52.45]
    assert rows["masa-5a1b"]["is_planned"]
    assert not rows["base"]["is_planned"]
    text = text_of(protocol_view(found))
    assert "masa_table1: MASA, Table 1 (section 4.2)" in text
    assert "accuracy on the test rows, to lora-r16" in text
    assert "58.98" in text
    assert "Not as in the paper" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_row_is_shown_by_the_name_that_it_has_here():
    rows = {row["arm"]: row["here"] for row in document("mosa_table10")["published"]}
    assert rows["learning_rate=5e-05"] == "learning_rate=0.015"


@pytest.mark.parametrize("name", ["mosa_table11", "mosa_figure2"])
def test_what_a_bench_times_is_beside_no_score(name):
    found = document(name)
    assert (found["compared_by"], found["baseline"], found["column"]) == (None, None, None)
    assert {(row["here"], row["is_planned"]) for row in found["published"]} == {(None, False)}
    text = text_of(protocol_view(found))
    for absent in ("eval_loss", "beside", "here", "not run"):
        assert absent not in text.replace("where", "")
    assert ["596.54" in text, "2410.00" in text] == [name == "mosa_table11", name == "mosa_figure2"]


def test_the_least_difference_is_said():
    said = "A difference below 0.40 has no direction."
    assert said in text_of(protocol_view(document("mosa_table9")))
    assert said not in text_of(protocol_view(document("masa_table5")))


def test_what_no_report_shows_says_how_it_is_read():
    papers = {file.name: file.paper for file in paper_files()}
    assert "inspect mine/TRIAL --similarity" in how_to_read(papers["masa_figure3"], "mine")
    assert "make bench-step" in how_to_read(papers["mosa_table11"], "mine")
    assert "make gpu-check" in how_to_read(papers["mosa_table11"], "mine")
    assert how_to_read(papers["masa_table5"], "mine") == ""


def test_items_are_listed_with_their_state():
    one = {"name": "x", "description": "y", "profiles": ["embedded"], "reads": "report"}
    text = text_of(
        papers_view(
            [
                {**one, "sweeps": ["x-embedded-1 (complete)"]},
                {**one, "sweeps": []},
                {**one, "reads": "bench-step", "sweeps": []},
            ]
        )
    )
    assert "x-embedded-1" in text
    assert "not run" in text
    assert "make bench-step" in text
    assert "3 items, 1 of them asked" in text
