"""The rows of the comparison plot: their reference, and the intervals of the verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sweeper.analysis.conclusions.differences import MOST_ROWS, differences_of
from sweeper.analysis.statistics import ConfigurationScores, ScoreTable
from sweeper.analysis.statistics.verdicts import (
    AgainstControl,
    AllPairs,
    Best,
    ConclusionSpec,
    Factorial,
    conclude,
)


def table_of(means, *, seeds=5, rows=300):
    rng = np.random.default_rng(5)
    hard = rng.random(rows)
    own = tuple(
        ConfigurationScores(
            name,
            tuple(range(seeds)),
            np.stack(
                [
                    (hard + rng.normal(0, 0.05, rows) < mean + rng.normal(0, 0.01)).astype(float)
                    for _ in range(seeds)
                ]
            ),
            failed_seeds=(9,) if name == "c" else (),
        )
        for name, mean in means.items()
    )
    return ScoreTable(own, np.zeros(rows, np.int64), None, split="test", fingerprint="f")


MEANS = {"a": 0.5, "b": 0.7, "c": 0.69}


def asked(table, *questions, claim="configurations"):
    return conclude(table, ConclusionSpec(questions, 0.01, claim=claim, draws=2000)).statements


def test_against_a_control_the_intervals_are_the_statements():
    table = table_of(MEANS)
    statements = asked(table, Best(), AgainstControl("a"))
    found = differences_of(table, None, statements, None)
    assert found is not None
    assert (found.reference, found.against, found.of) == ("a", "control", "configurations")
    said = {x.names[0]: x for x in statements[1:]}
    for row in found.rows:
        if row.name == "a":
            assert (row.estimate, row.interval, row.in_best_set) == (0.0, None, False)
        else:
            assert (row.estimate, row.interval) == (
                said[row.name].estimate,
                said[row.name].interval,
            )
            assert row.in_best_set == (row.name in statements[0].members)
            assert np.isclose(np.mean(row.seeds), row.estimate)
    assert [row.name for row in found.rows] == list(MEANS)
    assert [row.failed_seeds for row in found.rows] == [0, 0, 1]


def test_dots_and_intervals_are_over_the_same_units():
    table = table_of(MEANS)
    # A hundred of the rows are one unit.
    table = replace(table, clusters=np.maximum(np.arange(300) - 99, 0))
    found = differences_of(table, None, asked(table, AgainstControl("a")), None)
    assert found is not None
    assert found.basis.rows == 201
    for row in found.rows:
        assert np.isclose(np.mean(row.seeds), row.estimate)


def test_of_all_pairs_those_with_the_best_are_shown_whichever_stands_first():
    table = table_of(MEANS)
    statements = asked(table, Best(), AllPairs())
    found = differences_of(table, None, statements, None)
    assert found is not None
    assert (found.reference, found.against) == ("b", "best")
    first, _, last = found.rows
    pair = {x.names: x for x in statements[1:]}
    assert (first.estimate, first.interval) == (pair["a", "b"].estimate, pair["a", "b"].interval)
    low, high = pair["b", "c"].interval
    assert (last.estimate, last.interval) == (-pair["b", "c"].estimate, (-high, -low))


def test_without_statements_of_pairs_the_intervals_hold_for_all_pairs():
    table = table_of(MEANS)
    pairs = differences_of(table, None, asked(table, Best(), AllPairs()), None)
    alone = differences_of(table, None, asked(table, Best()), None)
    assert pairs is not None
    assert alone is not None
    for one, other in zip(pairs.rows, alone.rows, strict=True):
        if one.interval is not None and other.interval is not None:
            assert np.allclose(one.interval, other.interval, atol=2e-3)
    cells = tuple((name, (("f", name),)) for name in ("a", "b"))
    effects = differences_of(table, None, asked(table, Factorial(cells)), None)
    assert effects is not None
    assert [row.in_best_set for row in effects.rows] == [None] * 3


def test_of_a_long_search_the_best_adapters_are_shown_in_their_order():
    means = {f"t{i}": 0.3 + 0.4 * (i * 37 % 50) / 50 for i in range(50)}
    table = table_of(means, seeds=1)
    found = differences_of(table, None, asked(table, Best(), claim="adapters"), None)
    assert found is not None
    assert (found.of, found.hidden, len(found.rows)) == ("adapters", 50 - MOST_ROWS, MOST_ROWS)
    numbers = [int(row.name[1:]) for row in found.rows]
    assert numbers == sorted(numbers)
    assert all(row.in_best_set is not None for row in found.rows)


def test_where_nothing_is_compared_there_is_no_plot():
    table = table_of({"a": 0.5})
    assert differences_of(table, None, asked(table, Best()), None) is None
    assert differences_of(table, None, (), None) is None
