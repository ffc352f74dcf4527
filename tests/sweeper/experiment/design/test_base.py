"""What all designs have: seeds and looks, the difference of interest, one order of the data."""

from __future__ import annotations

import logging

import pytest

from sweeper.data.tokens.encoding import Tokens
from sweeper.experiment.design import GridDesign
from sweeper.search.draws import draw_all
from sweeper.training.schedule import DataOrder
from tests.sweeper.experiment.spaces import problems_of_loading

GRID = {"kind": "grid", "factors": {"method": {"rank": [2, 4]}}, "control": "none"}


@pytest.mark.parametrize(
    ("seeds", "looks", "number"),
    [(1, (1,), 1), (5, (5,), 5), ("3/5/10", (3, 5, 10), 10), ([3, 5, 10], (3, 5, 10), 10)],
)
def test_seeds_are_a_number_or_the_looks(design_of, seeds, looks, number):
    design = design_of({**GRID, "seeds": seeds, "first_seed": 7}).design
    assert design.looks == looks
    assert design.seeds == tuple(range(7, 7 + number))


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        (0, "how many seeds there are"),
        ([3, 3, 10], "seeds repeat; allowed is how many seeds"),
        ([1, 1, 2], "seeds repeat"),
        ("2/4", "or the looks 3/5/10"),
        (True, "how many seeds"),
        ([5], "how many seeds"),
    ],
)
def test_other_seeds_are_refused(design_of, seeds, message):
    assert message in problems_of_loading(design_of, {**GRID, "seeds": seeds})["design.seeds"]


def test_one_seed_is_told_with_what_it_costs(design_of, caplog):
    with caplog.at_level(logging.WARNING):
        design_of({**GRID, "seeds": 2})
        assert caplog.text == ""
        design = design_of({**GRID, "seeds": 1}).design
    assert "with one seed nothing is said of configurations" in caplog.text
    assert design.document()["warnings"] == list(design.warnings())


def test_the_difference_of_interest_is_kept_with_the_sweep(design_of):
    sweep = design_of({**GRID, "delta": 0.02})
    assert sweep.design.delta == 0.02
    assert sweep.document["design"]["delta"] == 0.02
    assert GridDesign.model_validate(GRID).delta is None
    assert "must be above 0" in problems_of_loading(design_of, {**GRID, "delta": 0})["design.delta"]


def test_the_same_seed_gives_all_methods_the_same_order_of_the_data(design_of):
    methods = [{"name": "lora", "rank": 2}, {"name": "mosa", "rank": 2}]
    sweep = design_of({"kind": "paired", "tune": None, "seeds": 3}, methods=methods)
    rows = [Tokens((number,), 0) for number in range(50)]
    orders: dict[int, set[object]] = {}
    for trial in draw_all(sweep):
        order = DataOrder(rows, seed=trial.spec.train.seed)
        ids = tuple(row.ids for step in range(9) for row in order.batch(step, 8))
        orders.setdefault(trial.spec.train.seed, set()).add(ids)
    assert list(orders) == [0, 1, 2]
    assert [len(found) for found in orders.values()] == [1, 1, 1]
    assert len(set.union(*orders.values())) == 3
