"""Distributions in a document: where they are found, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.experiment.documents.tree import Document
from sweeper.experiment.sections.distributions import find_distributions, read_distribution
from sweeper.experiment.space.distributions import Choice


def test_they_are_found_in_method_and_training() -> None:
    tree: Document = {
        "method": {"name": "lora", "rank": {"choice": [1]}, "other": {"q_proj": 3}},
        "train": {"seed": {"int": [1, 2]}, "steps": 3},
        "model": {"path": {"choice": ["a"]}},
    }
    assert list(find_distributions(tree)) == [
        (("method", "rank"), {"choice": [1]}),
        (("train", "seed"), {"int": [1, 2]}),
    ]
    assert list(find_distributions("no mapping")) == []
    assert list(find_distributions({"method": 3})) == []


def test_one_is_read() -> None:
    assert read_distribution({"choice": ["a", 2, True]}, place="x") == (
        Choice(choice=("a", 2, True)),
        [],
    )


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"choice": [1], "grid": [2]}, "x", "is choice and grid at once; give one of them"),
        ({"choice": [1, "2e-3"]}, "x", "'2e-3' is a text; write the number without quotes"),
        ({"choice": []}, "x.choice", "it must have 1 or more entries, and has 0"),
        ({"int": [1, 4], "stpe": 2}, "x.stpe", "did you mean 'step'?"),
        ({"uniform": [2, 1]}, "x", "low below high"),
    ],
)
def test_what_is_none_is_told(value: Any, path: str, message: str) -> None:
    distribution, problems = read_distribution(value, place="x")
    assert distribution is None
    assert [problem.path for problem in problems] == [path]
    assert message in problems[0].message
