"""Perplexity and its error."""

import math
import random
from statistics import fmean, stdev

import pytest

from sweeper.errors import BadInputError
from sweeper.estimates import Estimate
from sweeper.evaluation.metrics.perplexity import perplexity


def test_perplexity_is_per_token_of_all_texts():
    found = perplexity([2 * math.log(2), 6 * math.log(2)], [2, 2])
    assert found.value == pytest.approx(4.0)
    # As many tokens in each: then it is exp(mean) times the error of the mean of (1, 3) log 2.
    assert found.standard_error == pytest.approx(4 * math.log(2))


def test_the_error_of_perplexity_is_what_samples_spread():
    """The formula against what 2000 samples of 60 texts show, of lengths that matter."""
    draw = random.Random(0)

    def sample():
        tokens = [draw.randint(1, 40) for _ in range(60)]
        nats = [n * draw.uniform(0.5, 1.5) + draw.gauss(0, 1) for n in tokens]
        return perplexity(nats, tokens)

    found = [sample() for _ in range(2000)]
    spread = stdev(x.value for x in found)
    # The formula is one of large samples, and its own value spreads.
    assert fmean(x.standard_error or 0 for x in found) == pytest.approx(spread, rel=0.05)


def test_what_texts_contribute_gives_the_value_and_its_error():
    found = perplexity([3.0, 8.0, 2.5], [2, 9, 1])
    assert found.contributions is not None
    assert fmean(found.contributions) == pytest.approx(found.value)
    assert stdev(found.contributions) / math.sqrt(3) == pytest.approx(found.standard_error)
    assert perplexity([1e6, 1e6], [1, 1]).contributions is None


def test_a_diverged_model_has_infinite_perplexity():
    assert perplexity([1e6], [1]) == Estimate(math.inf, None, 1)


def test_a_text_without_tokens_has_no_perplexity():
    with pytest.raises(BadInputError, match="text 1 has 0 tokens"):
        perplexity([1.0, 1.0], [1, 0])
