"""What each trial has of a document."""

from __future__ import annotations

from sweeper.experiment.documents.tree import Document
from sweeper.experiment.sections.trial_tree import build_trial_tree


def test_a_trial_has_what_it_runs_on_and_not_how_it_is_searched() -> None:
    document: Document = {
        "name": "x",
        "model": {"kind": "embedded"},
        "engine": {"zero_stage": 1},
        "search": {"trials": 3},
        "resources": {"workers": 2},
        "train": {"steps": 4},
    }
    assert build_trial_tree(document, {"name": "lora"}) == {
        "method": {"name": "lora"},
        "model": {"kind": "embedded"},
        "engine": {"zero_stage": 1},
        "train": {"steps": 4},
        "objective": {},
        "workers": 2,
    }


def test_what_is_left_out_has_its_default() -> None:
    expected = {"method": "x", "train": {}, "objective": {}, "workers": 1}
    assert build_trial_tree({}, "x") == expected
    assert build_trial_tree({"resources": {"workers": None}}, "x") == expected
