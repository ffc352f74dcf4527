"""Rows, clusters and strata, and what cannot be compared."""

from dataclasses import replace

import numpy as np
import pytest

from sweeper.analysis.statistics.units import (
    as_adapters,
    by_unit,
    first_seeds,
    require_comparable,
    row_units,
    with_seeds,
)
from sweeper.errors import BadInputError
from tests.sweeper.analysis.statistics.sweeps import table_of

SCORES = [np.arange(12.0).reshape(2, 6), np.ones((3, 6))]


def test_rows_without_clusters_stay_as_they_are():
    units = row_units(table_of(SCORES))
    assert [each.tolist() for each in units.scores] == [each.tolist() for each in SCORES]
    assert units.strata.tolist() == [0] * 6


def test_the_rows_of_a_cluster_are_averaged():
    table = table_of(SCORES, clusters=np.array([7, 7, 3, 3, 3, 5]))
    units = row_units(table)
    # In the order of the clusters' numbers.
    assert units.scores[0].tolist() == [[3.0, 5.0, 0.5], [9.0, 11.0, 6.5]]
    assert units.strata.tolist() == [0, 0, 0]


def test_a_table_by_unit_has_the_units_for_rows():
    table = table_of(SCORES, clusters=np.array([7, 7, 3, 3, 3, 5]))
    found = by_unit(table)
    assert found.configurations[0].scores.tolist() == row_units(table).scores[0].tolist()
    assert (len(found.strata), found.clusters) == (3, None)
    assert by_unit(found) is found


def test_a_cluster_is_named_within_its_stratum():
    clusters, strata = np.array([0, 0, 1, 0, 0, 1]), np.array([4, 4, 4, 9, 9, 9])
    units = row_units(table_of(SCORES, clusters=clusters, strata=strata))
    assert units.scores[0][0].tolist() == [0.5, 2.0, 3.5, 5.0]
    assert units.strata.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("strata", "expected"),
    [
        ([5, 5, 5, 8, 8, 9], [0, 0, 0, 1, 1, 1]),
        ([1, 2, 3, 3, 3, 3], [0, 0, 2, 2, 2, 2]),
        ([1, 2, 3, 4, 5, 6], [0] * 6),
        ([1, 1, 1, 1, 1, 1], [0] * 6),
    ],
)
def test_strata_of_one_row_are_put_together(strata, expected):
    assert row_units(table_of(SCORES, strata=np.array(strata))).strata.tolist() == expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (table_of(SCORES, names=["a", "a"]), "a stands in the table twice"),
        (table_of([SCORES[0], np.ones((3, 5))]), r"c1: got scores of shape \(3, 5\); .* 6 test"),
        (table_of([SCORES[0], np.full((2, 6), np.nan)]), "c1: seed 0 has a score that is not"),
        (table_of(SCORES, clusters=np.zeros(5)), "got 5 clusters for 6 rows"),
        (table_of([SCORES[0][:, :1]]), "got 1 independent row"),
        (table_of([np.ones((0, 6))]), "with at least one seed"),
    ],
)
def test_what_cannot_be_compared_is_refused(table, message):
    with pytest.raises(BadInputError, match=message):
        row_units(table)


def test_a_seed_that_repeats_is_refused():
    table = table_of(SCORES)
    twice = replace(table.configurations[0], seeds=(4, 4))
    with pytest.raises(BadInputError, match=r"c0: got seeds \[4, 4\]"):
        require_comparable(replace(table, configurations=(twice,)))


def test_adapters_stand_by_themselves():
    table = table_of([SCORES[0], np.ones((1, 6))])
    adapters = as_adapters(table).configurations
    assert [each.name for each in adapters] == ["c0, seed 0", "c0, seed 1", "c1"]
    assert adapters[1].scores.tolist() == [[6.0, 7.0, 8.0, 9.0, 10.0, 11.0]]


def test_seeds_are_counted():
    table = table_of([*SCORES, np.ones((1, 6))])
    assert [each.name for each in with_seeds(table, 2).configurations] == ["c0", "c1"]
    assert [each.seeds for each in first_seeds(table, 2).configurations] == [(0, 1), (0, 1), (0,)]
    assert first_seeds(table, 2).configurations[1].scores.shape == (2, 6)


def test_a_seed_that_failed_is_one_of_the_first():
    table = table_of([np.arange(8.0).reshape(4, 2)] * 3)
    first, second, third = table.configurations
    late = replace(second, seeds=(0, 2, 3, 4), failed_seeds=(1, 5))
    lost = replace(third, seeds=(3, 4), scores=third.scores[:2], failed_seeds=(0, 1, 2))
    found = first_seeds(replace(table, configurations=(first, late, lost)), 3).configurations
    # None of the third lived: it has no scores at this look, whatever came later.
    assert [each.name for each in found] == ["c0", "c1"]
    assert [(each.seeds, each.failed_seeds) for each in found] == [((0, 1, 2), ()), ((0, 2), (1,))]
    assert found[1].scores.tolist() == [[0.0, 1.0], [2.0, 3.0]]


class Name(str):
    """A name that counts how often it is compared with another one."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str(self) == other


def test_names_are_not_compared_in_pairs(monkeypatch):
    monkeypatch.setattr(Name, "compared", 0)
    table = table_of([np.ones((1, 4))] * 50)
    named = tuple(replace(x, name=Name(x.name)) for x in table.configurations)
    assert len(row_units(replace(table, configurations=named)).scores) == 50
    # Of 50 there are 1,225 pairs.
    assert Name.compared < 50
