"""The section `methods`: which fields are searched, and what is no method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import Problem
from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sections import read_methods
from sweeper.experiment.space.distributions import Choice, Uniform
from sweeper.experiment.space.space import Axis, MethodSpace, Point
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
            "objective": {},
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


@pytest.mark.parametrize(
    "field", ["max_length", "bucketing", "evaluations", "eval_examples", "callbacks"]
)
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


TYPES = """
name: types
profile: tiny
methods:
  - {name: peft, type: vera, r: {choice: [4, 8]}}
  - {name: peft, type: IA3}
  - {name: lora, targets: {choice: [attention, mlp, [q_proj, mlp]]}}
train: {learning_rate: {loguniform: [1e-4, 1e-2]}}
baselines:
  - method: {name: peft, type: VERA, r: 8}
  - method: {name: lora, targets: attention}
search: {trials: 4}
"""


def test_two_types_of_peft_are_two_methods(space: Path) -> None:
    space.write_text(TYPES)
    sweep = load_sweep(space)
    assert [method.name for method in sweep.space.methods] == ["peft_vera", "peft_ia3", "lora"]
    assert sweep.space.method("peft_vera").axes[0].name == "peft_vera.r"
    first: Point = {"method": "peft_vera", "peft_vera.r": 8}
    assert sweep.space.baselines[0] == first
    trial = sweep.space.trial({**first, "train.learning_rate": 1e-3})
    assert trial.method.parameters()["r"] == 8
    # A method is called so by whoever changes it, too.
    changed = load_sweep(space, overrides=["methods.peft_vera.r=4"])
    assert changed.space.method("peft_vera").tree["method"] == {
        "name": "peft",
        "type": "vera",
        "r": 4,
    }


def test_a_searched_group_of_layers_becomes_their_names(space: Path) -> None:
    space.write_text(TYPES)
    found = load_sweep(space).space
    point: Point = {"method": "lora", "train.learning_rate": 1e-3}
    searched: tuple[Json, ...] = ("attention", "mlp", ["q_proj", "mlp"])
    named = {
        str(value): found.trial({**point, "lora.targets": value}).method.model_dump()["targets"]
        for value in searched
    }
    assert named == {
        "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
        "mlp": ("gate_proj", "up_proj", "down_proj"),
        "['q_proj', 'mlp']": ("q_proj", "gate_proj", "up_proj", "down_proj"),
    }


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("type: IA3", "type: VERA", "methods.1.name", "'peft_vera' stands twice"),
        ("type: IA3", "type: {choice: [IA3, OFT]}", "methods.1.type", "entry of its own"),
        ("type: IA3", "type: IA4", "methods.peft_ia4.type", "did you mean 'IA3'"),
        ("[4, 8]", "[4, x]", "methods.peft_vera.r", "got 'x'; r of VERA takes a whole number"),
        ("type: IA3", "type: IA3, r: 3", "methods.peft_ia3.r", "unknown field 'r' of IA3; known: "),
        ("r: 8}", "r: 5}", "baselines.0.method.r", "got 5, which"),
        ("attention, mlp", "attn, mlp", "methods.lora.targets", "it must be a list"),
    ],
)
def test_what_is_wrong_with_a_type_is_told_at_its_place(
    old: str, new: str, place: str, words: str, space: Path
) -> None:
    text = TYPES.replace(old, new, 1)
    assert text != TYPES
    assert words in problems_of_space(space, text=text)[place]


def test_a_budget_sizes_types_that_have_a_size(space: Path) -> None:
    text = TYPES.replace("r: {choice: [4, 8]}", "d_initial: 0.2").replace(", r: 8", "")
    space.write_text(text + "budget: {match: lora, rank: 4}\n")
    found = load_sweep(space).space
    point = {"train.learning_rate": 1e-3}
    sized = found.trial({"method": "peft_vera", **point}).method
    # No more than the largest width, though the budget would take more.
    assert sized.sizes() == {"r": 64}
    assert found.trial({"method": "peft_ia3", **point}).method.sizes() == {}
    text = text.replace("d_initial: 0.2", "r: 3") + "budget: {match: lora, rank: 1}\n"
    problems = problems_of_space(space, text=text)
    assert "the budget sets it" in problems["methods.peft_vera.r"]
