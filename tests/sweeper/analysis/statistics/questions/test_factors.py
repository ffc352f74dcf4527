"""Weights of lines, bends, main effects and interactions."""

import numpy as np
import pytest

from sweeper.analysis.statistics.questions import (
    factorial_effects,
    linear_weights,
    quadratic_weights,
)
from sweeper.errors import BadInputError


@pytest.mark.parametrize("sizes", [(1, 2, 4, 8), (8, 2, 64), (1, 3, 100, 7, 7)])
def test_a_line_and_a_bend_see_what_they_are_named_after(sizes):
    logs = np.log2(np.array(sizes, dtype=float))
    line, bend = linear_weights(sizes), quadratic_weights(sizes)
    rise = logs.max() - logs.min()
    assert line @ (3.0 + 0.5 * logs) == pytest.approx(0.5 * rise)
    assert bend @ (3.0 + 0.5 * logs) == pytest.approx(0.0, abs=1e-12)
    assert bend @ (logs - logs.mean()) ** 2 > 0
    assert line.sum() == pytest.approx(0, abs=1e-12)
    # A difference of two weighted means.
    assert bend[bend > 0].sum() == pytest.approx(1.0)
    assert line @ bend == pytest.approx(0, abs=1e-12)


def test_a_line_of_two_sizes_is_their_difference():
    assert linear_weights((2, 16)).tolist() == pytest.approx([-1.0, 1.0])


@pytest.mark.parametrize(
    ("make", "sizes", "message"),
    [
        (linear_weights, (4, 4), "got 4, 4; .* 2 of them must differ"),
        (linear_weights, (0, 4), "got 0, 4; they must be positive"),
        (quadratic_weights, (2, 4, 4), "3 of them must differ"),
    ],
)
def test_sizes_without_a_line_are_refused(make, sizes, message):
    with pytest.raises(BadInputError, match=message):
        make(sizes)


def crossed(**factors):
    cells: list[dict[str, str]] = [{}]
    for name, levels in factors.items():
        cells = [{**cell, name: level} for cell in cells for level in levels]
    return cells


def test_two_by_two_has_two_effects_and_an_interaction():
    effects = factorial_effects(crossed(a="01", b="xy"))
    assert [(each.factors, each.high, each.low) for each in effects] == [
        (("a",), ("1",), ("0",)),
        (("b",), ("y",), ("x",)),
        (("a", "b"), ("1", "y"), ("0", "x")),
    ]
    # In the order 0x, 0y, 1x, 1y.
    assert effects[0].weights.tolist() == [-0.5, -0.5, 0.5, 0.5]
    assert effects[2].weights.tolist() == [1.0, -1.0, -1.0, 1.0]


def test_each_level_is_compared_with_the_first():
    effects = factorial_effects(crossed(a="012", b="xy"))
    assert [each.high for each in effects if len(each.factors) == 1] == [("1",), ("2",), ("y",)]
    assert len([each for each in effects if len(each.factors) == 2]) == 2


def test_in_a_fraction_an_alias_is_not_named_twice():
    # The half of 2 × 2 × 2 in which c is the product of a and b.
    half = [x for x in crossed(a="01", b="01", c="01") if sum(map(int, x.values())) % 2 == 0]
    effects = factorial_effects(half)
    assert [each.factors for each in effects] == [("a",), ("b",), ("c",)]


def test_cells_that_do_not_fit_are_refused():
    with pytest.raises(BadInputError, match="cell 1 has the factors b; each cell needs a"):
        factorial_effects([{"a": "0"}, {"b": "1"}])
    with pytest.raises(BadInputError, match="2 cells in which no factor varies"):
        factorial_effects([{"a": "0"}, {"a": "0"}])
