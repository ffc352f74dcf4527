"""Errors of contrasts, against scipy's and against sums by hand."""

import numpy as np
import pytest
from scipy import stats

from sweeper.analysis.statistics.primitive import components_of, pooled
from tests.sweeper.analysis.statistics.sweeps import table_of

PAIR = np.array([[1.0, -1.0]])


@pytest.fixture
def generator():
    return np.random.default_rng(5)


def of_seeds(generator, *, counts, rows=2):
    """Scores whose rows are all alike, so that only seeds vary."""
    return [
        np.repeat(generator.normal(i, 1 + i, (count, 1)), rows, axis=1)
        for i, count in enumerate(counts)
    ]


def test_two_with_fixed_rows_are_welch(generator):
    scores = of_seeds(generator, counts=(6, 9))
    found = components_of(table_of(scores), rows="fixed").contrasts(PAIR)
    expected = stats.ttest_ind(scores[0][:, 0], scores[1][:, 0], equal_var=False)
    assert found.ratios[0] == pytest.approx(expected.statistic, rel=1e-9)
    assert found.df[0] == pytest.approx(expected.df, rel=1e-9)
    interval = expected.confidence_interval()
    half = stats.t.ppf(0.975, found.df[0]) * found.standard_errors[0]
    assert found.values[0] - half == pytest.approx(interval.low)
    assert found.values[0] + half == pytest.approx(interval.high)


def test_adapters_are_compared_by_the_pairs_of_rows(generator):
    shared = generator.normal(size=50)
    scores = [shared[None] + generator.normal(size=(1, 50)) for _ in range(2)]
    found = components_of(table_of(scores), claim="adapters").contrasts(PAIR)
    expected = stats.ttest_rel(scores[0][0], scores[1][0])
    assert found.ratios[0] == pytest.approx(expected.statistic, rel=1e-9)
    assert found.df[0] == 49


def test_strata_are_sampled_by_themselves(generator):
    strata = np.array([0] * 10 + [1] * 30)
    scores = [generator.normal(strata * 5.0, 1.0)[None] for _ in range(2)]
    found = components_of(table_of(scores, strata=strata), claim="adapters")
    expected = sum(
        (count / 40) ** 2 * np.cov(np.stack([each[0][strata == g] for each in scores])) / count
        for g, count in ((0, 10), (1, 30))
    )
    assert np.allclose(found.row_covariance, expected)
    # Without them the difference between the strata would count.
    plain = components_of(table_of(scores), claim="adapters")
    assert plain.row_covariance[0, 0] > 3 * found.row_covariance[0, 0]


def test_rows_that_repeat_in_a_cluster_say_nothing_new(generator):
    scores = [generator.normal(size=(3, 40)) for _ in range(3)]
    weights = np.array([[1.0, -0.5, -0.5]])
    once = components_of(table_of(scores)).contrasts(weights)
    repeated = [np.repeat(each, 4, axis=1) for each in scores]
    clusters = np.repeat(np.arange(40), 4)
    found = components_of(table_of(repeated, clusters=clusters)).contrasts(weights)
    assert found.standard_errors == pytest.approx(once.standard_errors)
    assert found.df == pytest.approx(once.df)
    # As if each were new, their error would be half of what it is.
    errors = [
        components_of(table_of(each), claim="adapters").contrasts(weights).standard_errors[0]
        for each in (repeated, scores)
    ]
    assert errors[0] == pytest.approx(errors[1] / 2, rel=0.02)


def test_the_parts_are_those_of_the_formula(generator):
    scores = [
        generator.normal(size=(s, 30)) + generator.normal(size=(s, 1)) + generator.normal(size=30)
        for s in (3, 5, 4)
    ]
    found = components_of(table_of(scores))
    squares = sum(
        ((y - y.mean(1, keepdims=True) - y.mean(0) + y.mean()) ** 2).sum() for y in scores
    )
    residual = squares / ((2 + 4 + 3) * 29)
    own = np.array([y.mean(1).var(ddof=1) for y in scores])
    df, counts = np.array([2, 4, 3]), np.array([3, 5, 4])
    drawn = (2 * (df @ own / 9) + df * own) / (2 + df)
    assert found.residual == pytest.approx(residual)
    assert found.seed_squares == pytest.approx(drawn / counts)
    assert found.seed_excess == pytest.approx(np.maximum(0, drawn - residual / 30) / counts)
    assert found.seed_df.tolist() == [4, 6, 5]
    w = np.array([1.0, -1.0, 0.0])
    rows = w @ np.cov(np.stack([y.mean(0) for y in scores])) @ w / 30
    variance = rows + w**2 @ found.seed_excess
    parts = w**2 * found.seed_squares
    below = max((parts**2 / found.seed_df).sum(), parts.sum() ** 2 / 9) + rows**2 / 29
    contrast = found.contrasts(w[None])
    assert contrast.standard_errors[0] ** 2 == pytest.approx(variance)
    assert contrast.df[0] == pytest.approx(min(29, variance**2 / below))


def test_seeds_that_do_not_vary_leave_the_rows_degrees_of_freedom(generator):
    profiles = generator.normal(size=(2, 30))
    scores = [np.repeat(each[None], 3, axis=0) for each in profiles]
    found = components_of(table_of(scores)).contrasts(PAIR)
    assert found.df[0] == 29
    assert found.standard_errors[0] == pytest.approx(stats.sem(profiles[0] - profiles[1]))


def test_without_an_error_only_a_difference_counts():
    scores = [np.ones((2, 4)), np.ones((2, 4)), np.zeros((2, 4))]
    found = components_of(table_of(scores)).contrasts(
        np.array([[1.0, -1, 0], [1, 0, -1], [0, -1, 1]])
    )
    assert found.ratios.tolist() == [0.0, np.inf, -np.inf]


def test_an_infinite_prior_takes_the_pooled_variance():
    found = pooled(
        names=("a", "b"),
        means=np.zeros(2),
        row_covariance=np.zeros((2, 2)),
        seed_variances=np.array([1.0, 4.0]),
        residual=0.0,
        seeds=(3, 5),
        rows=10,
        prior_df=np.inf,
    )
    assert found.seed_squares == pytest.approx([3.0 / 3, 3.0 / 5])
    assert found.contrasts(PAIR).df[0] == pytest.approx(6)
