"""Metrics of numbers, averages over groups, and metrics by name."""

import math
import random
from dataclasses import replace
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.analysis.statistics.paired import difference
from sweeper.errors import BadInputError
from sweeper.estimates import Estimate, jackknife_estimate, mean_estimate
from sweeper.evaluation.metrics import METRICS, macro_average, metric, micro_average
from sweeper.evaluation.metrics.averages import joint_average
from sweeper.evaluation.metrics.dialogue_mean import dialogue_mean
from sweeper.evaluation.metrics.perplexity import perplexity

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


# Rows of MoSA's table of ConvAI2, in percent: BLEU-4, F1, recall, precision, METEOR, ROUGE-L.
@pytest.mark.parametrize(
    ("row", "average"),
    [
        ((3.93, 86.53, 86.28, 86.80, 17.57, 18.44), 49.92),
        ((1.82, 84.41, 84.71, 84.16, 11.38, 10.55), 46.17),
        ((4.13, 86.83, 86.50, 87.18, 17.59, 18.64), 50.14),
    ],
)
def test_the_mean_of_dialogue_is_the_published_average(row, average):
    names = ("bleu", "bert_score", "bert_score_recall", "bert_score_precision", "meteor", "rouge_l")
    assert set(METRICS["dialogue_mean"].parts) == set(names)
    parts = {name: Estimate(x / 100, 0.01, 9) for name, x in zip(names, row, strict=True)}
    # Two decimals are printed, rounded or cut.
    assert 100 * dialogue_mean(parts).value == pytest.approx(average, abs=0.01)


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
        "bert_score_precision",
        "bert_score_recall",
        "bleu",
        "choice",
        "dialogue_mean",
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
    no_means = ["bleu", "dialogue_mean", "perplexity"]
    assert [name for name in METRICS if not metric(name).has_mean] == no_means


@pytest.mark.parametrize(
    ("name", "advice"),
    [("rougeL", "did you mean 'rouge_l'?"), ("zzz", "choose one of them")],
)
def test_an_unknown_metric_is_refused_with_the_nearest(name, advice):
    with pytest.raises(BadInputError) as caught:
        metric(name)
    assert str(caught.value).startswith(
        f"no metric {name!r}; known: bert_score, bert_score_precision, "
    )
    assert str(caught.value).endswith(f"; {advice}")
