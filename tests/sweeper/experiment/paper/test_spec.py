"""The section ``paper``: what is refused, and with which words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sweeper.experiment.paper import PaperProfile, PaperSpec, PublishedTable

ROWS = [{"arm": "lora", "values": [80.79]}, {"arm": "mosa", "values": [87.63]}]
TABLE: dict[str, Any] = {"columns": ["Average, %"], "baseline": "lora", "rows": ROWS}
PAPER: dict[str, Any] = {
    "source": "MoSA",
    "item": "Table 2",
    "where": "section 4.4",
    "shows": "MoSA is the best.",
    "profiles": {"embedded": {}},
    "published": TABLE,
}


def test_a_paper_names_its_item_and_its_numbers():
    paper = PaperSpec.model_validate(PAPER)
    assert paper.title == "MoSA, Table 2"
    assert paper.published.value("mosa", "Average, %") == 87.63
    assert paper.on("embedded") == paper.on("mine") == PaperProfile()


def test_a_difference_has_a_direction_from_the_least_on():
    table = PublishedTable.model_validate({**TABLE, "least": 0.4})
    assert [table.has_direction(x) for x in (0.39, -0.39, 0.4, -0.4)] == [False, False, True, True]
    draws = PublishedTable.model_validate({**TABLE, "has_directions": False})
    assert not draws.has_direction(7.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "lara"}, r"baseline is 'lara'; it must be an arm of rows: lora, mosa"),
        ({"rows": [ROWS[0], ROWS[0]]}, r"rows have 'lora' twice; each arm has one row"),
        ({"columns": ["a", "b"]}, r"row 'lora' has 1 values; it must have one for each of 2"),
        ({"rows": ROWS[:1]}, r"rows"),
        ({"decimals": 7}, r"decimals"),
        ({"least": -0.1}, r"least"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        PublishedTable.model_validate({**TABLE, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"profiles": {"embedded": {"column": "Averge, %"}}},
            r"profiles\.embedded\.column is 'Averge, %'; it must be one of published\.columns: "
            r"Average, %; did you mean",
        ),
        (
            {"profiles": {"embedded": {"arms": {"lara": "lora"}}}},
            r"profiles\.embedded\.arms has 'lara'; it must be an arm of published\.rows: lora, mo",
        ),
        (
            {"published": None, "profiles": {"embedded": {"column": "Average, %"}}},
            r"must be one of published\.columns: there are none",
        ),
        ({"profiles": {}}, r"profiles"),
        ({"item": "Tab. 2"}, r"item"),
        ({"reads": "guess"}, r"reads"),
        ({"source": "LoRA"}, r"source"),
        ({"metric": "MMLU"}, r"metric"),
    ],
)
def test_a_section_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        PaperSpec.model_validate({**PAPER, **changes})
