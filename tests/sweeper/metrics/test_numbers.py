"""Metrics of numbers, averages over groups, and metrics by name."""

import math
import random
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.errors import BadInputError, DataError
from sweeper.metrics import METRICS, Estimate, macro_average, mean_estimate, metric, micro_average
from sweeper.metrics.choice import choice
from sweeper.metrics.perplexity import perplexity

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


def test_the_likeliest_choice_counts():
    scores = [[-1.0, -2.0], [-3.0, -2.5, -9.0], [-1.0, -1.0], [-1.0, -1.0]]
    found = choice(scores, [0, 0, 0, 1])
    assert found.value == 0.5
    assert found.standard_error == pytest.approx(0.5 / math.sqrt(3))


@pytest.mark.parametrize("gold", [2, -1])
def test_a_right_answer_must_be_among_the_answers(gold):
    with pytest.raises(DataError, match=f"question 1: its right answer is number {gold} of 2"):
        choice([[0.0], [0.0, 1.0]], [0, gold])


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


def test_a_diverged_model_has_infinite_perplexity():
    assert perplexity([1e6], [1]) == Estimate(math.inf, None, 1)


def test_a_text_without_tokens_has_no_perplexity():
    with pytest.raises(BadInputError, match="text 1 has 0 tokens"):
        perplexity([1.0, 1.0], [1, 0])


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


def test_metrics_are_had_by_name():
    assert sorted(METRICS) == [
        "bert_score",
        "bleu",
        "choice",
        "exact",
        "final_answer",
        "final_number",
        "meteor",
        "option",
        "pass_at_1",
        "perplexity",
        "rouge_l",
    ]
    assert all(metric(name).name == name for name in METRICS)
    assert [name for name in METRICS if metric(name).is_loss] == ["perplexity"]
    assert [name for name in METRICS if not metric(name).has_mean] == ["bleu", "perplexity"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [("rougeL", "did you mean 'rouge_l'?"), ("zzz", "choose one of them")],
)
def test_an_unknown_metric_is_refused_with_the_nearest(name, advice):
    with pytest.raises(BadInputError) as caught:
        metric(name)
    assert str(caught.value).startswith(f"no metric {name!r}; known: bert_score, bleu, ")
    assert str(caught.value).endswith(f"; {advice}")
