"""The difference of two models on the same examples."""

import math
from statistics import fmean, stdev

import pytest

from sweeper.analysis.statistics.paired import difference
from sweeper.errors import BadInputError
from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics import macro_average, micro_average


def test_a_difference_has_the_error_of_the_pairs():
    # Both get hard examples wrong: of ten, one model gets one more right.
    one = mean_estimate([1.0] * 5 + [0.0] * 5)
    other = mean_estimate([1.0] * 4 + [0.0] * 6)
    found = difference(one, other)
    assert found.value == pytest.approx(0.1)
    # One difference of 1 and nine of 0: sqrt(0.1 / 10).
    assert found.standard_error == pytest.approx(0.1)
    apart = math.hypot(one.standard_error or 0, other.standard_error or 0)
    assert (found.standard_error or 0) < apart / 2
    assert difference(other, one).value == pytest.approx(-0.1)
    assert difference(one, one).standard_error == 0.0


@pytest.mark.parametrize("average", [micro_average, macro_average])
def test_a_difference_of_averages_is_that_of_the_examples(average):
    ours = {"a": mean_estimate([1.0, 1.0, 0.0, 1.0]), "b": mean_estimate([1.0, 0.0])}
    theirs = {"a": mean_estimate([1.0, 0.0, 0.0, 1.0]), "b": mean_estimate([1.0, 0.0])}
    one, other = average(ours), average(theirs)
    assert fmean(one.contributions) == pytest.approx(one.value)
    found = difference(one, other)
    assert found.value == pytest.approx(one.value - other.value)
    # One example of six differs, by 1, or in the macro average by 6 / (2 groups * 4 examples).
    gap = {micro_average: 1.0, macro_average: 6 / 8}[average]
    assert found.standard_error == pytest.approx(stdev([gap, 0, 0, 0, 0, 0]) / math.sqrt(6))


def test_a_difference_without_examples_or_with_a_diverged_one_has_no_error():
    known, unknown = mean_estimate([0.0, 1.0]), Estimate(0.25, 0.1, 2)
    assert difference(known, unknown) == Estimate(0.25, None, 2)
    lost = Estimate(math.inf, None, 2, (math.inf, 1.0))
    assert difference(lost, known) == Estimate(math.inf, None, 2)
    with pytest.raises(BadInputError, match="2 and of 3 examples have no paired difference"):
        difference(known, mean_estimate([0.0, 1.0, 2.0]))
