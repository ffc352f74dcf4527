"""The set of what may be the best."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sweeper.analysis.statistics.multiplicity import t_value
from sweeper.analysis.statistics.primitive import components_of, pooled
from sweeper.analysis.statistics.questions import best, best_set
from sweeper.analysis.statistics.table import ConfigurationScores, ScoreTable
from tests.sweeper.analysis.statistics.sweeps import Answers, table_of


def known(means, error=1.0):
    """Independent means of one error, from many rows."""
    k = len(means)
    return pooled(
        names=tuple(map(str, range(k))),
        means=np.array(means, dtype=float),
        row_covariance=np.eye(k) * error**2,
        seed_variances=np.zeros(k),
        residual=0.0,
        seeds=(2,) * k,
        rows=1_000_000,
    )


@pytest.mark.parametrize(("ahead", "members"), [(2.7, [True, True]), (2.8, [False, True])])
def test_of_two_one_wins_by_the_two_sided_value(ahead, members):
    # The error of the difference is √2, times 1.96 is 2.77; one-sided it would be 2.33.
    assert best_set(known([0.0, ahead])).tolist() == members


def test_many_rivals_must_be_farther_ahead():
    # The one-sided value for nine differences to one is 2.42 (Hsu 1996, table of d).
    edge = 2.42 * np.sqrt(2)
    for ahead, stays in ((edge - 0.1, True), (edge + 0.1, False)):
        found = best_set(known([0.0] + [ahead] + [-20.0] * 8))
        assert found.tolist() == [stays, True] + [False] * 8


def test_the_value_is_the_one_of_dunnett():
    correlations = np.full((9, 9), 0.5) + 0.5 * np.eye(9)
    level = stats.multivariate_normal(cov=correlations, seed=1).cdf(np.full(9, 2.42))
    assert level == pytest.approx(0.95, abs=2e-3)


def test_one_alone_is_the_best():
    table = table_of(Answers((0.6,), seeds=2, rows=20).draw(np.random.default_rng(0)))
    assert best_set(components_of(table)).tolist() == [True]


def test_the_first_place_always_stays():
    generator = np.random.default_rng(2)
    for _ in range(20):
        table = table_of(Answers((0.6, 0.55, 0.5, 0.6), seeds=3, rows=200).draw(generator))
        components = components_of(table)
        assert best_set(components, draws=500)[components.means.argmax()]


@pytest.mark.parametrize("count", [10, 64, 65, 200])
def test_of_many_the_same_are_out_that_are_far_behind_and_the_best_stays(count):
    found = best_set(known([0.0, -0.5] + [-9.0] * (count - 2)), draws=2_000)
    assert found.tolist() == [True, True] + [False] * (count - 2)


def test_the_value_for_very_many_is_not_below_the_simulated_one():
    rng = np.random.default_rng(3)
    means = np.concatenate([rng.normal(0, 1.5, 64)])
    simulated = best_set(known(means), draws=5_000)
    # One more, far behind, and all are judged by Bonferroni's value.
    wider = best_set(known([*means, -50.0]))
    assert wider[-1] == np.False_
    assert (wider[:-1] >= simulated).all()
    assert wider[:-1].sum() <= simulated.sum() + 6


def test_a_difference_to_one_is_the_contrast_of_both():
    table = table_of(
        Answers((0.6, 0.55, 0.5, 0.6), seeds=3, rows=50).draw(np.random.default_rng(1))
    )
    components = components_of(table)
    for each in range(4):
        weights = np.eye(4)
        weights[:, each] -= 1.0
        plain, found = components.contrasts(weights), components.differences_to(each)
        others = np.arange(4) != each
        for name in ("values", "standard_errors", "df"):
            np.testing.assert_allclose(
                getattr(found, name)[others], getattr(plain, name)[others], rtol=1e-9
            )


def adapters(rng, *, count=80, rows=40, spread=0.1, tasks=1, clusters=None):
    """A table of many adapters of one seed, each third of which scores as the one before it."""
    base = rng.normal(0, 0.5, rows)
    configurations: list[ConfigurationScores] = []
    for place in range(count):
        scores = (base + rng.normal(0, spread) + rng.normal(0, 0.1, rows))[None]
        if place % 3 == 2:
            scores = configurations[-1].scores
        configurations.append(ConfigurationScores(str(place), (0,), scores))
    strata = rng.integers(0, tasks, rows)
    groups = None if clusters is None else rng.integers(0, clusters, rows)
    return ScoreTable(tuple(configurations), strata, groups, "validation", "0" * 16)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.0, 0.05, 0.3, 2.0])
@pytest.mark.parametrize("how", [{}, {"tasks": 3}, {"clusters": 15}, {"tasks": 3, "clusters": 15}])
def test_of_many_adapters_the_set_is_that_of_all_differences(seed, spread, how, monkeypatch):
    components = components_of(adapters(np.random.default_rng(seed), spread=spread, **how))
    found = best._of_many(components, 0.05)
    monkeypatch.setattr(best, "_of_many", lambda *_: None)
    assert found is not None
    assert found.tolist() == best_set(components).tolist()


def test_of_many_all_differences_are_sought_where_rounding_would_decide_or_seeds_vary():
    exact = known([0.0] * 70)
    value = max(t_value(np.inf, 0.025), t_value(np.inf, 0.05 / 69))
    # The error of each difference is √2.
    on_the_edge = known([value * np.sqrt(2), *[0.0] * 69])
    assert best._of_many(exact, 0.05) is not None
    assert best._of_many(replace(on_the_edge, row_df=np.inf), 0.05) is None
    for part in ("seed_excess", "unseen"):
        assert best._of_many(replace(exact, **{part: np.full(70, 0.1)}), 0.05) is None
