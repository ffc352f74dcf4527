"""The section `methods`: which fields are searched, and what is no method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import Problem
from sweeper.experiment.documents.tree import Document, get_path
from sweeper.experiment.sections import read_methods
from sweeper.experiment.space.distributions import Choice, Uniform
from sweeper.experiment.space.space import Axis, MethodSpace
from tests.sweeper.experiment.spaces import SPACE, problems_of_space


def test_a_method_that_stands_twice_is_refused(space: Path) -> None:
    text = SPACE.split("train:")[0] + "  - name: lora\n" + "train: {learning_rate: 1e-3}\n"
    assert "stands twice" in problems_of_space(space, text=text)["methods.2.name"]


DOCUMENT: Document = {
    "methods": [{"name": "lora", "rank": {"choice": [2, 4]}, "alpha": 3}, {"name": "masa"}],
    "train": {"steps": 8, "learning_rate": {"uniform": [0.1, 0.2]}},
    "model": {"kind": "embedded"},
    "search": {"trials": 3},
}


def test_searched_fields_are_cut_out_of_the_tree() -> None:
    (lora, masa), problems = read_methods(DOCUMENT)
    assert problems == []
    assert lora == MethodSpace(
        "lora",
        {
            "method": {"name": "lora", "alpha": 3},
            "train": {"steps": 8},
            "model": {"kind": "embedded"},
            "workers": 1,
        },
        (
            Axis("lora.rank", ("method", "rank"), Choice(choice=(2, 4))),
            Axis("train.learning_rate", ("train", "learning_rate"), Uniform(uniform=(0.1, 0.2))),
        ),
    )
    assert [axis.name for axis in masa.axes] == ["train.learning_rate"]


@pytest.mark.parametrize("methods", [None, [], {}, "lora"])
def test_what_is_no_list_of_methods_is_told(methods: Any) -> None:
    spaces, problems = read_methods({"methods": methods})
    assert spaces == ()
    assert [problem.path for problem in problems] == ["methods"]
    assert "give a list of methods" in problems[0].message


@pytest.mark.parametrize("entry", [{"rank": 2}, {"name": 3}, "lora"])
def test_a_method_without_a_name_is_told_by_its_position(entry: Any) -> None:
    spaces, problems = read_methods({"methods": [{"name": "lora"}, entry]})
    assert [space.name for space in spaces] == ["lora"]
    assert problems == [Problem("methods.1.name", "is missing; give the method's name")]


@pytest.mark.parametrize("field", ["max_length", "bucketing", "evaluations", "eval_examples"])
def test_what_trials_are_compared_by_is_not_searched(field: str) -> None:
    document: Document = {"methods": [{"name": "lora"}], "train": {field: {"choice": [8, 9]}}}
    _, problems = read_methods(document)
    assert [problem.path for problem in problems] == [f"train.{field}"]
    assert "one value for all" in problems[0].message


def test_a_field_that_cannot_be_read_stays_where_it_is() -> None:
    document: Document = {"methods": [{"name": "lora", "rank": {"int": [3, 2]}}]}
    (space,), problems = read_methods(document)
    assert space.axes == ()
    assert get_path(space.tree, ("method", "rank")) == {"int": [3, 2]}
    assert [problem.path for problem in problems] == ["methods.lora.rank"]
