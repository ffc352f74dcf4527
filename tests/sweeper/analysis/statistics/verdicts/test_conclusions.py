"""Conclusions as objects."""

from dataclasses import replace

import pytest

from sweeper.analysis.statistics.verdicts import (
    Basis,
    BestSet,
    Conclusion,
    Conclusions,
    Silence,
)

BASIS = Basis("configurations", 0.985, (3, 5), 100, split="test", fixed_rows=False, members=1)
BEST = BestSet(("a",), ("b", "c"), of_methods=False, basis=BASIS)
PAIR = Conclusion(
    kind="better",
    family="all_pairs",
    contrasted="pair",
    names=("a", "b"),
    estimate=2.0,
    interval=(1.0, 3.0),
    equivalence_interval=(1.2, 2.8),
    delta=1.0,
    basis=BASIS,
)


def test_the_parts_are_handed_out_by_their_kind():
    silence = Silence("missing", ("d",))
    found = Conclusions((silence, PAIR, BEST, PAIR))
    assert found.silences == (silence,)
    assert found.best_sets == (BEST,)
    assert found.comparisons == (PAIR, PAIR)


def test_one_member_is_the_winner():
    assert BEST.winner == "a"
    assert replace(BEST, members=("a", "b")).winner is None


def test_the_interval_of_equivalence_is_of_two_one_sided_tests():
    assert PAIR.equivalence_level == pytest.approx(0.97)


@pytest.mark.parametrize(
    ("kind", "is_difference"),
    [("worse_within_delta", True), ("equivalent", False), ("undecided", False)],
)
def test_a_difference_has_a_direction(kind, is_difference):
    assert replace(PAIR, kind=kind).is_difference == is_difference
