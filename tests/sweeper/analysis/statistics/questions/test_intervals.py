"""Families of contrasts, and intervals that fit the decisions."""

import numpy as np
import pytest
from scipy import stats

from sweeper.analysis.statistics.primitive import components_of
from sweeper.analysis.statistics.questions import (
    against_control,
    all_pairs,
    difference_weights,
    simultaneous,
    stepwise,
)
from tests.sweeper.analysis.statistics.sweeps import Answers, table_of


@pytest.fixture(scope="module")
def components():
    sweep = Answers((0.6, 0.6, 0.65, 0.7), seeds=4, rows=500)
    return components_of(table_of(sweep.draw(np.random.default_rng(1))))


def test_families_are_of_differences():
    assert all_pairs(3) == [(0, 1), (0, 2), (1, 2)]
    assert against_control(3, 1) == [(0, 1), (2, 1)]
    assert difference_weights(3, [(2, 1)]).tolist() == [[0, -1, 1]]


def test_a_larger_family_has_wider_intervals(components):
    one = simultaneous(components, difference_weights(4, [(2, 0)]), draws=4_000)
    control = simultaneous(components, difference_weights(4, against_control(4, 0)), draws=4_000)
    pairs = simultaneous(components, difference_weights(4, all_pairs(4)), draws=4_000)
    assert one.critical[0] < control.critical[0] < pairs.critical[0]
    assert one.high == pytest.approx(one.contrasts.values + one.half_widths)
    assert one.low == pytest.approx(one.contrasts.values - one.half_widths)
    # Not wider than if the members knew nothing of each other.
    df = pairs.contrasts.df.min()
    assert pairs.critical[0] < stats.t.ppf(1 - 0.025 / 6, df)


def test_a_lower_alpha_has_wider_intervals(components):
    weights = difference_weights(4, all_pairs(4))
    narrow, wide = (simultaneous(components, weights, alpha=a, draws=4_000) for a in (0.05, 0.01))
    assert (wide.half_widths > narrow.half_widths).all()


def test_one_after_another_the_smallest_p_value_is_judged_hardest(components):
    found = stepwise(components, difference_weights(4, [(3, 0), (1, 0), (2, 0)]))
    rejected = np.abs(found.contrasts.values) > found.half_widths
    assert rejected.tolist() == [True, False, True]
    expected = [
        stats.t.ppf(1 - 0.025 / m, df) for m, df in zip((3, 1, 2), found.contrasts.df, strict=True)
    ]
    assert found.critical == pytest.approx(expected)
