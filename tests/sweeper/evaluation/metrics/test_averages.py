"""Metrics of numbers, averages over groups, and metrics by name."""

import math
from dataclasses import replace
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.errors import BadInputError
from sweeper.estimates import Estimate, jackknife_estimate, mean_estimate
from sweeper.evaluation.metrics import macro_average, micro_average
from sweeper.evaluation.metrics.averages import joint_average

# What two ways of summing float64 differ by.
ROUNDING = 1e-9


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30))
def test_a_mean_has_the_error_of_a_sample(values):
    found = mean_estimate(values)
    assert found.value == pytest.approx(fmean(values))
    error = stdev(values) / math.sqrt(len(values))
    assert found.standard_error == pytest.approx(error, abs=ROUNDING)
    assert found.count == len(values)


def test_one_value_tells_no_error():
    assert mean_estimate([3.0]) == Estimate(3.0, None, 1)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=20))
def test_the_jackknife_of_a_mean_is_that_mean(values):
    without = [fmean(values[:i] + values[i + 1 :]) for i in range(len(values))]
    found, expected = jackknife_estimate(fmean(values), without), mean_estimate(values)
    assert found == replace(expected, standard_error=found.standard_error)
    assert found.standard_error == pytest.approx(expected.standard_error, abs=ROUNDING)
    assert found.contributions == pytest.approx(expected.contributions, abs=ROUNDING)


def test_the_jackknife_needs_two():
    assert jackknife_estimate(2.0, [0.0]) == Estimate(2.0, None, 1)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=20))
def test_metrics_of_the_same_examples_have_the_error_of_their_mean_of_each(pairs):
    metrics = [mean_estimate(values) for values in zip(*pairs, strict=True)]
    expected = mean_estimate([fmean(pair) for pair in pairs])
    found = joint_average(metrics)
    assert found.value == pytest.approx(expected.value, abs=ROUNDING)
    assert found.standard_error == pytest.approx(expected.standard_error, abs=ROUNDING)
    assert found.count == len(pairs)


def test_a_joint_average_knows_what_goes_together():
    up, down = mean_estimate([0.0, 1.0, 0.0, 1.0]), mean_estimate([1.0, 0.0, 1.0, 0.0])
    # The same metric twice is no more exact than once, and two that cancel are exact.
    assert joint_average([up, up]).standard_error == pytest.approx(up.standard_error)
    assert joint_average([up, down]).standard_error == 0.0


def test_without_contributions_a_joint_average_has_no_error():
    found = joint_average([mean_estimate([0.0, 1.0]), Estimate(1.0, 0.1, 2)])
    assert found == Estimate(0.75, None, 2)


def test_metrics_of_other_examples_have_no_joint_average():
    with pytest.raises(BadInputError, match="2 metrics, of 2 and 3 examples, have no joint"):
        joint_average([mean_estimate([0.0, 1.0]), mean_estimate([0.0, 1.0, 2.0])])
    with pytest.raises(BadInputError, match="0 metrics, of no examples"):
        joint_average([])


GROUPS = {"a": Estimate(0.5, 0.3, 10), "b": Estimate(0.8, 0.4, 30)}


def test_macro_counts_groups_alike():
    found = macro_average(GROUPS)
    assert found.value == pytest.approx(0.65)
    assert found.standard_error == pytest.approx(0.25)
    assert found.count == 40


def test_micro_counts_examples_alike():
    found = micro_average(GROUPS)
    assert found.value == pytest.approx((0.5 * 10 + 0.8 * 30) / 40)
    assert found.standard_error == pytest.approx(math.hypot(0.3 / 4, 0.4 * 3 / 4))


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=9), min_size=1, max_size=6))
def test_micro_is_the_mean_of_all_examples(groups):
    measured = {str(i): mean_estimate([float(x) for x in xs]) for i, xs in enumerate(groups)}
    pooled = [float(x) for xs in groups for x in xs]
    assert micro_average(measured).value == pytest.approx(fmean(pooled), abs=ROUNDING)
    assert micro_average(measured).count == len(pooled)


def test_groups_of_equal_size_have_one_average():
    groups = {name: mean_estimate(xs) for name, xs in {"a": [0.0, 1.0], "b": [1.0, 1.0]}.items()}
    macro, micro = macro_average(groups), micro_average(groups)
    assert macro.value == pytest.approx(micro.value)
    assert macro.standard_error == pytest.approx(micro.standard_error)


def test_an_unknown_error_of_a_group_is_not_taken_for_zero():
    groups = {"a": Estimate(0.5, None, 1), "b": Estimate(0.8, 0.4, 30)}
    assert macro_average(groups).standard_error is None
    assert micro_average(groups).standard_error is None


@pytest.mark.parametrize("average", [macro_average, micro_average])
def test_nothing_has_no_average(average):
    with pytest.raises(BadInputError, match="got 0 groups"):
        average({})
