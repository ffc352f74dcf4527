"""Distributions: what they hold, and what is none.

`sections/test_distributions.py` checks how they are read, and `test_space.py` how they are drawn.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from sweeper.experiment.space.distributions import (
    DISTRIBUTIONS,
    Choice,
    Distribution,
    Grid,
    IntRange,
    LogUniform,
    Uniform,
)

INT = IntRange.model_validate({"int": [2, 6], "step": 2})


@pytest.mark.parametrize(
    ("distribution", "inside", "outside"),
    [
        (Choice(choice=("a", 2)), ["a", 2], ["b", 3]),
        (Grid(grid=(1, 3)), [1, 3], [2, "1"]),
        (Uniform(uniform=(0.5, 2)), [0.5, 1, 2], [0.4, 2.1, "1", True]),
        (LogUniform(loguniform=(1e-3, 1)), [1e-3, 0.5, 1], [0, 1.1, "1", True]),
        (INT, [2, 4, 6], [3, 8, 4.0, "4", True]),
    ],
)
def test_what_a_distribution_holds(
    distribution: Distribution, inside: list[Any], outside: list[Any]
) -> None:
    assert [value for value in inside if not distribution.contains(value)] == []
    assert [value for value in outside if distribution.contains(value)] == []
    assert all(distribution.contains(value) for value in distribution.candidates())


def test_every_value_is_a_candidate_where_there_are_few() -> None:
    assert INT.candidates() == (2, 4, 6)
    assert IntRange.model_validate({"int": [1, 1000]}).candidates() == (1, 1000, 2, 619)


@pytest.mark.parametrize(
    "distribution", [Uniform(uniform=(4, 64)), LogUniform(loguniform=(1, 4096))]
)
def test_a_fraction_is_a_candidate_of_a_range(distribution: Uniform | LogUniform) -> None:
    low, high, between = distribution.candidates()
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert isinstance(between, float)
    assert not between.is_integer()
    assert low < between < high
    assert distribution.contains(between)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"choice": [2, 2]}, "names a value twice"),
        ({"grid": ["a", "a"]}, "names a value twice"),
        ({"uniform": [1, 1]}, "low below high"),
        ({"loguniform": [0, 1]}, "a logarithm needs a low above 0"),
        ({"int": [2, 5], "step": 2}, "step 2 does not lead from 2 to 5"),
        ({"int": [5, 2]}, "low below high"),
        ({"int": [0, 2**53 + 1]}, "beyond 2..53"),
        ({"int": [0, 10**400]}, "beyond 2..53"),
        ({"uniform": [-1e308, 1e308]}, "wider than any number"),
        ({"uniform": [0, math.inf]}, "finite"),
        ({"loguniform": [math.nan, 1]}, "finite"),
        ({"choice": [[1], [1]]}, "names a value twice"),
        ({"choice": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}, "names a value twice"),
        ({"choice": [None, None]}, "names a value twice"),
    ],
)
def test_what_is_none_is_refused(value: dict[str, Any], message: str) -> None:
    (kind,) = value.keys() & DISTRIBUTIONS.keys()
    with pytest.raises(ValidationError, match=message):
        DISTRIBUTIONS[kind].model_validate(value)


def test_null_lists_and_mappings_are_choices() -> None:
    values: tuple[Any, ...] = (None, [1, "a"], {"q_proj": [2]}, "null", 3)
    for distribution in (Choice(choice=values), Grid(grid=values)):
        assert distribution.candidates() == values
        labels = [distribution.label(value) for value in values]
        # Optuna keeps no others, and tells them apart.
        assert all(isinstance(label, str) for label in labels)
        assert len(set(labels)) == len(values)
    assert Choice(choice=(None, 16, "a", True)).label(None) is None


def test_true_and_1_are_different_choices() -> None:
    assert Choice(choice=(True, 1)).choice == (True, 1)
