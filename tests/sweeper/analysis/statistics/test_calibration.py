"""What is said of sweeps without a difference: how often it is wrong, counted.

The suite simulates 100 sweeps of each kind, `make calibration` 1,000. A limit is the binomial one
at 99 % of what the level allows, and the seeds are fixed.
"""

import numpy as np
import pytest

from sweeper.analysis.statistics.questions import LOOKS, best, intervals
from sweeper.analysis.statistics.verdicts import (
    AllPairs,
    Best,
    Conclusions,
    ConclusionSpec,
    conclude,
)
from tests.sweeper.analysis.statistics.sweeps import (
    DRAWS,
    Answers,
    Losses,
    at_least,
    at_most,
    counted,
    named,
    table_of,
    without,
)
from tests.whole import few

BOTH = ConclusionSpec((Best(), AllPairs()), delta=0.01, draws=DRAWS)
CONFIGURATIONS = "configurations"
PLAIN_N1 = Answers((0.6, 0.6), seeds=5, rows=400)


def claims(found: Conclusions) -> tuple[bool, bool, bool]:
    """A sole winner; a pair of which one is called better; the first, which is best, in the set."""
    (members,) = found.best_sets
    return (
        members.winner is not None,
        any(each.is_difference for each in found.comparisons),
        "c0" in members.members,
    )


def counts_of(sweep, *, seed: int) -> dict[str, int]:
    found = counted(
        lambda generator: claims(conclude(table_of(sweep.draw(generator)), BOTH)), seed=seed
    )
    return report(dict(zip(("winner", "pair", "best kept"), found, strict=True)))


def report(counts: dict[str, int]) -> dict[str, int]:
    print(counts)  # noqa: T201 - shown by `make calibration`
    return counts


class UnlikeSpreads:
    """Six configurations whose spread over seeds differs; one seed in ten fails."""

    def draw(self, generator):
        spreads = 0.005 * np.exp(0.5 * generator.standard_normal(6))
        scores = Answers((0.6,) * 6, seeds=5, rows=1_000, seed_sd=spreads).draw(generator)
        kept = [generator.random(5) >= 0.1 for _ in scores]
        # One that lost nearly all its seeds is run again.
        return [
            each[alive] if alive.sum() > 1 else each
            for each, alive in zip(scores, kept, strict=True)
        ]


@pytest.mark.parametrize(
    ("sweep", "seed"),
    [(PLAIN_N1, 1), (Losses((0.0,) * 6, seeds=3, rows=400), 2), (UnlikeSpreads(), 3)],
    ids=["N1 two of five seeds", "N2 six with skewed losses", "N3 unlike spreads, failed seeds"],
)
def test_equal_configurations_are_seldom_told_apart(sweep, seed):
    counts = counts_of(sweep, seed=seed)
    assert counts["winner"] <= at_most(0.05)
    assert counts["pair"] <= at_most(0.05)
    assert counts["best kept"] >= at_least(0.95)


def test_two_that_share_the_top_are_not_told_apart():
    """N4."""
    sweep = Answers((0.6, 0.6, 0.55, 0.55, 0.55, 0.55), seeds=5, rows=1_000)
    counts = counts_of(sweep, seed=4)
    assert counts["winner"] <= at_most(0.05)
    # The test can tell: the four behind are seen.
    assert counts["pair"] >= at_least(0.9)


def test_a_search_says_nothing_of_configurations():
    """N5: twelve trials of one seed each."""
    sweep = Answers((0.6,) * 12, seeds=1, rows=64)

    def tries(generator):
        found = conclude(table_of(sweep.draw(generator)), BOTH)
        (members,) = found.best_sets
        bases = [each.basis for each in found.best_sets]
        bases += [each.basis for each in found.comparisons]
        return (
            any(basis.claim == "configurations" for basis in bases),
            not found.silences,
            members.winner is not None,
        )

    configurations, spoke, winner = counted(tries, seed=5)
    report({"configurations": configurations, "adapter winner": winner})
    assert (configurations, spoke) == (0, 0)
    assert winner <= at_most(0.05)


def test_a_difference_of_delta_is_not_called_equivalent():
    """N7."""
    sweep = Answers((0.61, 0.59), seeds=5, rows=2_000)
    spec = ConclusionSpec((AllPairs(),), delta=0.02, draws=DRAWS)

    def tries(generator):
        (found,) = conclude(table_of(sweep.draw(generator)), spec).comparisons
        small = found.kind in ("equivalent", "better_within_delta", "worse_within_delta")
        return small, found.kind == "better"

    small, better = counted(tries, seed=7)
    report({"equivalent": small, "better": better})
    assert small <= at_most(0.05)
    assert better > 0


@pytest.mark.parametrize("failing", few((0.0, 0.2), 0.0))
def test_declared_looks_hold_their_level_together(failing):
    """N8: at 3, 5 and 10 seeds; none that failed is replaced by a later one."""
    sweep = Answers((0.6, 0.6), seeds=10, rows=1_000)
    specs = [ConclusionSpec((AllPairs(),), delta=0.01, look=look, draws=DRAWS) for look in LOOKS]

    def tries(generator):
        table = table_of(sweep.draw(generator))
        table = without(table, generator.random((2, 10)) < failing)
        looked = [conclude(table, spec) for spec in specs]
        found = [x for each in looked for x in each.comparisons if x.basis.claim == CONFIGURATIONS]
        seeds = [each.basis.seeds for each in found]
        assert all(high <= look for (_, high), look in zip(seeds[::-1], (10, 5, 3), strict=False))
        if not failing:
            assert seeds == [(3, 3), (5, 5), (10, 10)]
        return [any(each.is_difference for each in found)]

    (wrong,) = counted(tries, seed=8)
    report({"any look": wrong})
    assert wrong <= at_most(0.05)


def test_the_rule_of_one_standard_error_would_be_caught(monkeypatch):
    """The mutant of N1: a difference of more than one standard error counts."""
    monkeypatch.setattr(best, "t_value", lambda df, tail: 1.0)
    monkeypatch.setattr(best, "critical_value", lambda *args, **kwargs: 1.0)
    monkeypatch.setattr(intervals, "critical_value", lambda *args, **kwargs: 1.0)
    counts = counts_of(PLAIN_N1, seed=1)
    assert counts["winner"] > 2 * at_most(0.05)
    assert counts["pair"] > 2 * at_most(0.05)
    assert counts["best kept"] < at_least(0.95)


def test_the_sweeps_are_of_configurations_named_in_order():
    sweep = Losses((0.0, 0.0), seeds=2, rows=10)
    table = table_of(sweep.draw(np.random.default_rng(0)))
    assert [each.name for each in table.configurations] == named(2)
