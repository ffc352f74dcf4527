"""Values of whole families, against scipy's."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sweeper.analysis.statistics.multiplicity import (
    critical_value,
    holm_adjusted,
    holm_levels,
    p_values,
    t_value,
)
from sweeper.analysis.statistics.primitive import Contrasts, components_of
from sweeper.analysis.statistics.questions import (
    against_control,
    all_pairs,
    difference_weights,
    simultaneous,
)
from tests.sweeper.analysis.statistics.sweeps import table_of

# Of a level of 5 % so many draws leave an error of 0.00022.
MANY, LEVEL_TOLERANCE = 1_000_000, 1e-3
COUNTS = (6, 6, 6, 6)


@pytest.fixture(scope="module")
def samples():
    generator = np.random.default_rng(3)
    return [generator.normal(0.4 * i, 1.0, count) for i, count in enumerate(COUNTS)]


@pytest.fixture(scope="module")
def components(samples):
    # Seeds alone vary, and all of them alike: what Tukey and Dunnett assume.
    scores = [np.repeat(each[:, None], 2, axis=1) for each in samples]
    return components_of(table_of(scores), rows="fixed", prior_df=np.inf)


def test_all_pairs_are_tukeys(samples, components):
    found = simultaneous(components, difference_weights(4, all_pairs(4)), draws=MANY)
    df = sum(COUNTS) - 4
    assert found.contrasts.df == pytest.approx([df] * 6)
    level = stats.studentized_range.sf(found.critical[0] * np.sqrt(2), 4, df)
    assert level == pytest.approx(0.05, abs=LEVEL_TOLERANCE)
    expected = stats.tukey_hsd(*samples).confidence_interval()
    places = tuple(np.array(all_pairs(4)).T)
    assert found.low == pytest.approx(expected.low[places], abs=3e-3)
    assert found.high == pytest.approx(expected.high[places], abs=3e-3)


def test_a_family_is_never_below_one_of_its_members(components):
    """Of peaks the covariance over rows is a difference, and may be below zero."""
    weights = difference_weights(4, all_pairs(4))
    apart = np.eye(4) - 0.25
    seeds = components.seed_excess.mean()
    less = replace(components, row_covariance=-0.9 * seeds * apart, row_df=19.0)
    assert np.linalg.eigvalsh(less.covariance).min() > 0
    df = float(less.contrasts(weights).df.min())
    for two_sided in (True, False):
        of_one = t_value(df, 0.025 if two_sided else 0.05)
        assert critical_value(less, weights, df=df, two_sided=two_sided) > of_one


def test_all_against_a_control_are_dunnetts(samples, components):
    found = simultaneous(components, difference_weights(4, against_control(4, 0)), draws=MANY)
    correlations = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    family = stats.multivariate_t(shape=correlations, df=20, seed=1)
    edge = np.full(3, found.critical[0])
    level = 1 - family.cdf(edge, lower_limit=-edge)
    assert level == pytest.approx(0.05, abs=LEVEL_TOLERANCE)
    expected = stats.dunnett(*samples[1:], control=samples[0], rng=1).confidence_interval()
    assert found.low == pytest.approx(expected.low, abs=3e-3)
    assert found.high == pytest.approx(expected.high, abs=3e-3)


def test_one_contrast_takes_the_quantile_of_t(components):
    weights = difference_weights(4, [(0, 1)])
    assert critical_value(components, weights, df=7.5) == pytest.approx(stats.t.ppf(0.975, 7.5))
    one = critical_value(components, weights, df=7.5, two_sided=False)
    assert one == pytest.approx(stats.t.ppf(0.95, 7.5))


def test_the_same_scores_always_say_the_same(components):
    weights = difference_weights(4, all_pairs(4))
    values = {critical_value(components, weights, df=20, draws=2_000) for _ in range(3)}
    assert len(values) == 1


def test_many_contrasts_are_taken_in_parts(components, monkeypatch):
    weights = difference_weights(4, all_pairs(4))
    whole = critical_value(components, weights, df=20, draws=2_000)
    monkeypatch.setattr("sweeper.analysis.statistics.multiplicity._MOST_NUMBERS", 4_000)
    assert critical_value(components, weights, df=20, draws=2_000) == whole


def test_what_has_no_error_is_no_obstacle():
    scores = [np.ones((2, 4)), np.ones((2, 4)), np.zeros((2, 4))]
    weights = difference_weights(3, all_pairs(3))
    value = critical_value(components_of(table_of(scores)), weights, df=3, draws=500)
    assert value == t_value(3, 0.025)


def test_t_is_never_below_normal():
    assert t_value(np.inf, 0.025) == pytest.approx(stats.norm.ppf(0.975), rel=1e-6)
    assert t_value(3, 0.025) == pytest.approx(stats.t.ppf(0.975, 3))


def test_p_values_are_two_sided():
    contrasts = Contrasts(np.array([2.0, -2.0, 0.0]), np.array([1.0, 1.0, 0.0]), np.full(3, 9.0))
    expected = 2 * stats.t.sf(2, 9)
    assert p_values(contrasts) == pytest.approx([expected, expected, 1.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.2))
def test_a_p_value_is_below_its_own_level_where_holm_rejects(p, alpha):
    values = np.array(p)
    levels = holm_levels(values, alpha)
    rejected, m = set(), len(p)
    for step, place in enumerate(np.argsort(values, kind="stable")):
        if values[place] >= alpha / (m - step):
            break
        rejected.add(int(place))
    assert set(np.flatnonzero(values < levels).tolist()) == rejected
    assert (levels >= alpha / m - 1e-15).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_an_adjusted_p_is_below_alpha_where_holm_rejects(p):
    values = np.array(p)
    adjusted = holm_adjusted(values)
    assert ((values <= adjusted) & (adjusted <= 1)).all()
    for alpha in (0.01, 0.05, 0.2):
        close = np.isclose(adjusted, alpha, rtol=1e-9)
        rejected = values < holm_levels(values, alpha)
        assert ((adjusted < alpha) == rejected)[~close].all()


def test_adjusted_p_values_are_holms():
    assert holm_adjusted(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
