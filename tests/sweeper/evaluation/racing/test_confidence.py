"""Evidence by betting: against a naive one, and by all that can happen or much of it."""

import math
from itertools import permutations, product

import numpy as np
import pytest

from sweeper.evaluation.racing.confidence import FRACTIONS, log_capital, lower_bound

NULLS = ("stream", "population", "both")
# Sums of logarithms against products: both are rounded some hundred times.
ROUNDING = 1e-10


def naive_capital(values, *, mean, bound, population, seen, null):
    """The same, value by value, each part of the capital by itself."""
    parts = [1.0 / len(FRACTIONS)] * len(FRACTIONS)
    found, total = [], 0.0
    for drawn, value in enumerate(values):
        left = (population * mean - total) / (population - drawn)
        most = {"stream": mean, "population": left, "both": max(mean, left)}[null]
        most = min(most, bound)
        total += value
        if drawn < seen:
            continue
        bets = [fraction / (most + bound) for fraction in FRACTIONS]
        parts = [part * (1 + bet * (value - most)) for part, bet in zip(parts, bets, strict=True)]
        found.append(sum(parts))
    return found


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize(("count", "seen"), [(1, 0), (1, 1), (63, 16), (100, 0)])
def test_it_is_what_a_naive_gambler_has(null, count, seen):
    generator = np.random.default_rng(count)
    values = np.clip(generator.normal(0.1, 0.5, count), -0.9, 0.9)
    settings = {"mean": -0.05, "bound": 1.0, "population": 2 * count, "seen": seen, "null": null}
    found = log_capital(values, **settings)
    assert found.shape == (count - seen,)
    assert np.exp(found) == pytest.approx(naive_capital(values, **settings), rel=ROUNDING)


def mean_and_reached(sequences, *, level, **settings):
    """The mean capital at the end, and how often it was ever 1 / level."""
    paths = np.exp([log_capital(np.array(values), **settings) for values in sequences])
    return paths[:, -1].mean(), np.mean(paths.max(axis=1) >= 1 / level)


@pytest.mark.parametrize("null", ["stream", "both"])
def test_equal_trials_win_nothing_whichever_of_two_is_ahead_on_each_row(null):
    """All of what can happen where each difference is as likely with the other sign."""
    sizes = np.array([0.9, 0.05, 0.6, 1.0, 0.3, 0.8, 0.15, 1.0, 0.5, 0.7])
    signs = product((-1, 1), repeat=len(sizes))
    settings = {"mean": 0.0, "bound": 1.0, "population": 20, "seen": 2, "null": null}
    mean, reached = mean_and_reached([sizes * one for one in signs], level=0.2, **settings)
    assert mean <= 1 + ROUNDING
    assert 0 < reached <= 0.2
    if null == "stream":
        # Nothing is given away: it is a martingale.
        assert mean == pytest.approx(1)


@pytest.mark.parametrize("null", ["population", "both"])
def test_a_split_with_that_mean_wins_nothing_in_whichever_order_it_is_drawn(null):
    """All orders of a population; at its end its mean is known."""
    split = np.array([1.0, 0.8, 0.6, -0.7, -0.75, -0.95])
    orders = list(permutations(split - split.mean()))
    settings = {"mean": 0.0, "bound": 1.0, "population": len(split), "null": null}
    mean, reached = mean_and_reached([one[:-1] for one in orders], level=0.4, **settings)
    assert mean <= 1 + ROUNDING
    assert reached <= 0.4
    if null == "population":
        assert mean == pytest.approx(1)
        assert reached > 0


def test_what_is_certain_of_a_split_is_not_certain_of_rows_to_come():
    """Why there is `both`: at its end a split is known, and one of two equal trials is worse."""
    generator = np.random.default_rng(0)
    streams = [generator.choice((-0.5, 0.5), 60) for _ in range(2_000)]
    settings = {"mean": 0.0, "bound": 1.0, "population": 60, "level": 0.05}
    _, wrong = mean_and_reached(streams, null="population", **settings)
    _, right = mean_and_reached(streams, null="both", **settings)
    assert wrong > 0.2
    assert right <= 0.05


def test_what_is_left_of_a_split_may_not_be_able_to_bring_its_mean_down():
    values = np.array([1.0, 1.0, 1.0, 0.5])
    found = log_capital(values, mean=-0.3, bound=1.0, population=5, null="population")
    assert np.isfinite(found[:2]).all()
    assert np.isposinf(found[2:]).all()
    both = log_capital(values, mean=-0.3, bound=1.0, population=5, null="both")
    assert np.isfinite(both).all()


@pytest.mark.parametrize("null", NULLS)
def test_capital_falls_with_the_mean(null):
    generator = np.random.default_rng(3)
    values = np.clip(generator.normal(0.2, 0.6, 40), -1, 1)
    means = np.linspace(-1, 1, 201)
    capital = np.array(
        [log_capital(values, mean=m, bound=1.0, population=45, seen=5, null=null) for m in means]
    )
    with np.errstate(invalid="ignore"):
        steps = np.diff(capital, axis=0)
    assert not (steps > ROUNDING).any()


@pytest.mark.parametrize("null", NULLS)
def test_the_bound_is_the_smallest_mean_that_was_never_rejected(null):
    generator = np.random.default_rng(4)
    values = np.clip(generator.normal(0.4, 0.4, 80), -1, 1)
    settings = {"bound": 1.0, "population": 100, "seen": 8, "null": null}
    found = lower_bound(values, level=0.05, **settings)
    means = np.linspace(-1, 1, 4_001)
    kept = [m for m in means if log_capital(values, mean=m, **settings).max() < math.log(20)]
    assert found == pytest.approx(min(kept), abs=means[1] - means[0])
    assert 0 < found < values.mean()


def test_it_only_rises_and_says_nothing_before_the_first_bet():
    generator = np.random.default_rng(5)
    values = np.clip(generator.normal(0.3, 0.5, 60), -1, 1)
    ends = [
        lower_bound(values[:count], level=0.05, bound=1.0, population=60, seen=10)
        for count in range(61)
    ]
    assert ends[:11] == [-1.0] * 11
    assert (np.diff(ends) >= 0).all()
    assert ends[-1] > ends[11] > -1


@pytest.mark.parametrize("null", NULLS)
def test_the_mean_is_never_below_it_in_95_of_100_at_whatever_look(null):
    """Coverage over all looks at once: the end only rises, so the last is the highest."""
    generator = np.random.default_rng(6)
    missed, tries, rows = 0, 400, 64
    for _ in range(tries):
        # Skewed: few large values, many small ones below the mean.
        values = np.minimum(generator.exponential(0.2, rows), 1.0) - 0.5
        truth = 0.2 * (1 - math.exp(-5)) - 0.5 if null == "stream" else values.mean()
        if null == "both":
            truth = max(truth, 0.2 * (1 - math.exp(-5)) - 0.5)
        found = lower_bound(values[:-4], level=0.05, bound=0.5, population=rows, null=null)
        missed += found > truth
    # The binomial limit at 99 % of 5 % of 400.
    assert missed <= 31
