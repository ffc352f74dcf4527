"""Distributions: what they hold, and what is none.

`sections/test_distributions.py` checks how they are read, and `test_space.py` how they are drawn.
"""

from __future__ import annotations

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
    assert IntRange.model_validate({"int": [1, 1000]}).candidates() == (1, 1000)
    assert Uniform(uniform=(0, 1)).candidates() == (0, 1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"choice": [2, 2]}, "names a value twice"),
        ({"grid": ["a", "a"]}, "names a value twice"),
        ({"uniform": [1, 1]}, "low below high"),
        ({"loguniform": [0, 1]}, "a logarithm needs a low above 0"),
        ({"int": [2, 5], "step": 2}, "step 2 does not lead from 2 to 5"),
        ({"int": [5, 2]}, "low below high"),
    ],
)
def test_what_is_none_is_refused(value: dict[str, Any], message: str) -> None:
    (kind,) = value.keys() & DISTRIBUTIONS.keys()
    with pytest.raises(ValidationError, match=message):
        DISTRIBUTIONS[kind].model_validate(value)


def test_true_and_1_are_different_choices() -> None:
    assert Choice(choice=(True, 1)).choice == (True, 1)
