"""The section `baselines`: points of the space, and what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sections import read_baselines, read_methods
from sweeper.experiment.space.space import MethodSpace


def test_baselines_are_points(space: Path) -> None:
    assert load_sweep(space).space.baselines == (
        {"method": "masa", "masa.experts": 5, "masa.group_size": 2},
        {"method": "lora", "lora.rank": 8, "train.learning_rate": 1e-3},
    )


METHODS, _ = read_methods(
    {
        "methods": [{"name": "lora", "rank": {"choice": [2, 4]}}, {"name": "masa"}],
        "train": {"learning_rate": {"uniform": [0.1, 0.2]}},
    }
)


def read(entry: Any, *, methods: tuple[MethodSpace, ...] = METHODS, **document: Any) -> Any:
    points, problems = read_baselines({"baselines": [entry], **document}, methods)
    return points, {problem.path: problem.message for problem in problems}


def test_a_document_may_have_none() -> None:
    assert read_baselines({}, METHODS) == ((), [])
    assert read_baselines({"baselines": None}, METHODS) == ((), [])


def test_each_listed_trial_is_one() -> None:
    points, problems = read_baselines({"trials": []}, METHODS)
    assert points == ({"method": "lora"}, {"method": "masa"})
    assert problems == []


def test_what_is_no_list_is_told() -> None:
    _, problems = read_baselines({"baselines": {"method": {"name": "lora"}}}, METHODS)
    assert [problem.path for problem in problems] == ["baselines"]
    assert "give a list of trials" in problems[0].message


def test_the_only_method_needs_no_name() -> None:
    entry = {"method": {"rank": 4}, "train": {"learning_rate": 0.1}}
    points, problems = read(entry, methods=METHODS[:1])
    assert points == ({"method": "lora", "lora.rank": 4, "train.learning_rate": 0.1},)
    assert problems == {}
    _, problems = read(entry)
    assert list(problems) == ["baselines.0.method.name"]
    assert "allowed: lora, masa" in problems["baselines.0.method.name"]


@pytest.mark.parametrize(
    ("entry", "path", "message"),
    [
        ({"method": {"name": "lora", "rank": 3}}, "method.rank", "widen the space or change"),
        ({"method": {"name": "lora", "rank": [2]}}, "method.rank", "widen the space or change"),
        ({"method": {"name": "lora", "alpha": 3}}, "method.alpha", "searched: method.rank, train"),
        ({"method": {"name": "masa", "rank": 2}}, "method.rank", "is not searched for masa"),
        (
            {"method": {"name": "lora"}, "train": {"learning_rat": 0.1}},
            "train.learning_rat",
            "did you mean 'train.learning_rate'?",
        ),
    ],
)
def test_what_is_no_point_of_the_space_is_told(entry: Any, path: str, message: str) -> None:
    _, problems = read(entry)
    assert list(problems) == [f"baselines.0.{path}"]
    assert message in problems[f"baselines.0.{path}"]


def test_what_is_no_trial_at_all_is_told_with_and_without_a_budget() -> None:
    for budget in (None, {"params": 9}):
        _, problems = read("lora", methods=METHODS[:1], budget=budget)
        assert "is not searched for lora" in problems["baselines.0"]


def test_only_a_budget_that_is_given_sets_sizes() -> None:
    entry = {"method": {"name": "lora", "rank": 4}}
    _, problems = read(entry, budget={"params": 9})
    assert "the budget sets it" in problems["baselines.0.method.rank"]
    points, problems = read(entry, budget=None)
    assert points == ({"method": "lora", "lora.rank": 4},)
    assert problems == {}
