"""What it takes to find δ: that much, and not for the difference that was seen."""

from dataclasses import replace

import numpy as np
import pytest

from sweeper.analysis.statistics.planning import needed_seeds, row_floor
from sweeper.analysis.statistics.primitive import components_of
from sweeper.analysis.statistics.questions import difference_weights, simultaneous
from sweeper.analysis.statistics.verdicts import AllPairs, ConclusionSpec, conclude
from sweeper.analysis.statistics.verdicts.needs import needs_of
from tests.sweeper.analysis.statistics.sweeps import Answers, Losses, table_of

PAIRS = ConclusionSpec((AllPairs(),), delta=0.01)


def needed(sweep, delta, *, seed=4, claim="configurations"):
    table = table_of(sweep.draw(np.random.default_rng(seed)))
    components = components_of(table, claim=claim)
    intervals = simultaneous(components, difference_weights(2, [(0, 1)]))
    (found,) = needs_of(components, intervals, np.array([0]), delta)
    return found


def test_more_seeds_are_those_of_the_plan():
    sweep = Answers((0.6, 0.6), seeds=10, rows=4_000, seed_sd=0.01)
    plan = needed_seeds(sweep.components(), 0.009, rows=4_000)
    found = [needed(sweep, 0.009, seed=seed) for seed in range(5)]
    assert all(each.rows is None for each in found)
    # A variance of 9 degrees of freedom each is known to a third.
    assert np.mean([each.seeds for each in found]) + 10 == pytest.approx(plan, rel=0.35)


def test_below_the_floor_of_rows_no_number_of_seeds_does():
    sweep = Answers((0.6, 0.6), seeds=40, rows=500, seed_sd=0.001)
    delta = 0.8 * row_floor(sweep.components(), 500)
    found = needed(sweep, delta)
    assert found.seeds is None
    # 500 / 0.8² with infinitely many seeds, and more with forty.
    assert 700 < found.rows < 1_400


def test_where_neither_does_alone_both_are_named():
    found = needed(Answers((0.6, 0.6), seeds=10, rows=500, seed_sd=0.01), 0.01)
    assert found.seeds > 10
    assert found.rows > 1_000


def test_a_spread_of_seeds_that_is_too_large_is_said_to_be():
    found = needed(Losses((0.0, 0.0), seeds=3, rows=20_000, seed_sd=1.0), 0.01)
    assert (found.seeds, found.rows) == (None, None)


def test_the_difference_that_was_seen_does_not_count():
    scores = Answers((0.6, 0.6), seeds=5, rows=500).draw(np.random.default_rng(4))
    moved = [scores[0] + 0.01, scores[1]]
    found = [conclude(table_of(each), PAIRS).comparisons[0] for each in (scores, moved)]
    assert found[0].estimate != pytest.approx(found[1].estimate)
    assert found[0].needs == found[1].needs


def test_adapters_need_rows():
    found = needed(Answers((0.6, 0.6), seeds=1, rows=500), 0.01, claim="adapters")
    assert found.seeds is None
    assert found.rows > 2_000


def test_enough_needs_nothing_more():
    assert needed(Answers((0.6, 0.6), seeds=10, rows=8_000, seed_sd=0.003), 0.01) is None
    assert needed(Answers((0.6, 0.6), seeds=1, rows=8_000), 0.02, claim="adapters") is None


def of_peaks(unseen, delta):
    """What two peaks need of which so much variance is of what lies between the rates."""
    sweep = Answers((0.6, 0.6), seeds=10, rows=4_000, seed_sd=0.01)
    table = table_of(sweep.draw(np.random.default_rng(4)))
    components = replace(components_of(table), unseen=np.array([unseen, 0.0]))
    intervals = simultaneous(components, difference_weights(2, [(0, 1)]))
    return needs_of(components, intervals, np.array([0]), delta)[0]


def test_what_lies_between_two_rates_is_no_matter_of_seeds():
    plain = of_peaks(0.0, 0.009)
    assert plain.seeds > 0
    # Some of the error stays, so that it takes more seeds, or rows besides.
    more = of_peaks(0.002**2, 0.009)
    assert (more.seeds or 1_000) > plain.seeds
    assert not more.closer_rates
    # Beyond it no number of seeds or rows does.
    found = of_peaks(0.01**2, 0.009)
    assert (found.seeds, found.rows, found.closer_rates) == (None, None, True)
