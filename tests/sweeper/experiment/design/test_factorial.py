"""The design `factorial`: balanced in every pair of factors, in parts of it, too."""

from __future__ import annotations

import itertools

import pytest

from sweeper.experiment.design.factorial import aliases_of, signs_of
from tests.sweeper.experiment.spaces import problems_of_loading

CASES = [(k, "full") for k in (2, 3, 5)] + [(k, "half") for k in range(3, 9)]
CASES += [(k, "quarter") for k in range(5, 9)]


@pytest.mark.parametrize(("factors", "fraction"), CASES)
def test_each_pair_of_values_is_trained_equally_often(factors, fraction):
    runs = signs_of(factors, fraction)
    part = {"full": 1, "half": 2, "quarter": 4}[fraction]
    assert len(set(runs)) == len(runs) == 2**factors // part
    for one, other in itertools.combinations(range(factors), 2):
        assert sum(signs[one] * signs[other] for signs in runs) == 0
        assert sum(signs[one] for signs in runs) == 0


def test_what_cannot_be_told_apart_is_listed():
    assert aliases_of(3, "full", "abc") == []
    assert aliases_of(3, "half", "abc") == ["a = b x c", "b = a x c", "c = a x b"]
    # Resolution V: main effects and effects of two factors are all apart.
    assert aliases_of(5, "half", "abcde") == []


def test_its_combinations_and_its_control_arm(design_of):
    factors = {"method": {"experts": [2, 4], "sharing": ["a", "b"], "rank": [4, 8]}}
    design = design_of({"kind": "factorial", "factors": factors, "fraction": "half"}).design
    assert design.question == "effects"
    *cells, arm = design.configurations
    assert cells[0].name == "experts=2, rank=4, sharing=b"
    assert len(cells) == 4
    assert "not told apart: experts = rank x sharing" in cells[0].answers
    method = {"name": "masa_control", "experts": 2, "rank": 4, "sharing": "b"}
    assert arm.entry["method"] == method


@pytest.mark.parametrize(
    ("fraction", "fields", "path", "message"),
    [
        ("full", {"rank": [1, 2]}, "design.factors", "a full factorial has 2 to 8"),
        ("half", {"rank": [1, 2], "alpha": [1, 2]}, "design.factors", "a half factorial has 3"),
        (
            "full",
            {"rank": [1, 2, 4], "alpha": [1, 2]},
            "design.factors.method.rank",
            "has two of each factor",
        ),
    ],
)
def test_what_is_no_factorial_is_told(design_of, fraction, fields, path, message):
    design = {"kind": "factorial", "factors": {"method": fields}, "fraction": fraction}
    assert message in problems_of_loading(design_of, design)[path]
