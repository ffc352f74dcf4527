"""The header: fields of a sweep, and what a list of trials sets of them.

What `sections/keys.py` lists is tested here, too.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.experiment.documents.tree import Document
from sweeper.experiment.sections import SPACE_KEYS, read_header
from sweeper.experiment.sweep import SweepSpec
from tests.sweeper.experiment.spaces import problems_of_space


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("evaluation.max_new_tokens=0", "evaluation.max_new_tokens"),
        ("final.split=train", "final.split"),
        ("final.trials=-1", "final.trials"),
    ],
)
def test_a_bad_value_of_the_evaluation_is_told_once(space: Path, override: str, path: str) -> None:
    assert list(problems_of_space(space, override)) == [path]


ON: Document = {
    "name": "x",
    "profile": "x",
    "model": {"kind": "architecture", "name": "smollm2-135m"},
    "data": {"kind": "embedded"},
}


def test_keys_of_the_space_are_not_read() -> None:
    spec, problems = read_header({**ON, **dict.fromkeys(SPACE_KEYS, 5)})
    assert problems == []
    assert spec == SweepSpec.model_validate(ON)


def test_a_list_is_run_whole_and_without_early_stopping() -> None:
    spec, _ = read_header({**ON, "trials": [{}, {}, {}]})
    assert spec is not None
    assert (spec.search.trials, spec.search.asha) == (3, None)
    spec, _ = read_header({**ON, "trials": [{}, {}, {}], "search": {"trials": 2, "seed": 4}})
    assert spec is not None
    assert (spec.search.trials, spec.search.asha, spec.search.seed) == (2, None, 4)


@pytest.mark.parametrize(("key", "near"), [("metods", "methods"), ("serach", "search")])
def test_an_unknown_key_is_compared_with_all_of_a_file(key: str, near: str) -> None:
    spec, problems = read_header({**ON, key: 1})
    assert spec is None
    (problem,) = problems
    assert problem.path == key
    assert f"did you mean '{near}'?" in problem.message
    assert all(name in problem.message for name in SPACE_KEYS)


def test_an_unknown_field_below_is_compared_with_those_beside_it() -> None:
    _, problems = read_header({**ON, "search": {"metods": 1}})
    assert "baselines" not in problems[0].message
