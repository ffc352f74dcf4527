"""A value with its standard error: measured, kept as numbers, read back, printed."""

import math

import pytest

from sweeper.estimates import Estimate, estimate_of, from_metrics, mean_estimate, to_metrics


def test_what_is_kept_as_numbers_comes_back():
    estimates = {"accuracy": Estimate(0.5, 0.1), "eval_loss": Estimate(2.0)}
    numbers = to_metrics(estimates)
    assert numbers == {"accuracy": 0.5, "accuracy_se": 0.1, "eval_loss": 2.0}
    assert from_metrics(numbers) == estimates


def test_what_only_ends_like_an_error_is_a_metric():
    assert from_metrics({"mean_se": 3.0}) == {"mean_se": Estimate(3.0)}


def test_nothing_is_lost_on_the_way_through_a_checkpoint():
    numbers = {"accuracy": 1.0, "accuracy_se": 0.0, "perplexity": math.inf, "perplexity_se": -1.0}
    assert to_metrics(from_metrics(numbers)) == numbers


def test_what_is_no_number_is_not_reported():
    assert estimate_of({"eval_loss": math.nan, "eval_loss_se": 0.1}, "eval_loss") is None
    assert estimate_of({"accuracy": 1.0, "accuracy_se": 0.0}, "accuracy") == Estimate(1.0)


@pytest.mark.parametrize("values", [[math.inf, 1.0], [math.nan, 1.0], [1e308, 1e308, -1e308]])
def test_a_diverged_model_has_a_mean_and_no_error(values):
    found = mean_estimate(values)
    assert not math.isfinite(found.value) or found.value > 1e307
    assert found.standard_error is not None
    assert math.isnan(found.standard_error)
    assert estimate_of(to_metrics({"x": found}), "x") in (None, Estimate(found.value))
