"""Rows of a paper's table, with the verdicts of a sweep that is made up."""

from __future__ import annotations

import json

import pytest

from sweeper.analysis.conclusions import conclusions_document
from sweeper.analysis.published import published_of
from sweeper.experiment.paper import PaperSpec
from tests.sweeper.designs import LORA, MASA, MOSA, DesignSweep, by_method, configuration, sweep_of

GROUPS = {"kind": "one_factor", "factors": {"method": {"group_size": [1, 2, 4]}}, "seeds": 5}


def paper(rows, *, baseline="group_size=2", profile=None, **changes):
    published = {"columns": ["MMLU, %"], "baseline": baseline, "rows": rows, **changes}
    return {
        "source": "MASA",
        "item": "Table 6",
        "where": "section 4.3",
        "shows": "Two is best.",
        "profiles": {"embedded": profile or {}},
        "published": published,
    }


SIZES = [
    {"arm": f"group_size={size}", "values": [value]}
    for size, value in ((1, 59.40), (2, 59.62), (4, 59.40), (8, 59.18))
]


@pytest.fixture
def made(tmp_path):
    def make(entry, means, *, metric="accuracy", mode="max"):
        objective = {"metric": metric, "mode": mode}
        sweep = sweep_of(GROUPS, [MASA], paper=entry, objective=objective)
        return DesignSweep(tmp_path, sweep).run(lambda drawn: means.get(configuration(drawn), 0.5))

    return make


def test_each_row_has_the_verdict_on_its_pair(made):
    sweep = made(paper(SIZES), {"group_size=1": 0.4, "group_size=4": 0.6})
    one, two, four, eight = sweep.conclusions().published.rows
    assert (one.published, one.verdict) == (-0.22, "replicated in direction")
    assert (two.published, two.verdict, two.estimate) == (None, None, None)
    assert (four.published, four.verdict) == (-0.22, "contradicted")
    assert (eight.published, eight.verdict) == (-0.44, "not run here")
    assert eight.why_not_run == "no such configuration on this profile"
    # The verdicts' own numbers.
    said = {x.names: x for x in sweep.conclusions().statements if hasattr(x, "estimate")}
    assert one.estimate == said["group_size=1", "group_size=2"].estimate
    assert one.interval == said["group_size=1", "group_size=2"].interval
    assert one.interval[0] < one.estimate < one.interval[1] < 0 < four.interval[0]


def test_a_loss_is_turned_so_that_more_is_better(made):
    means = {"group_size=1": 0.6, "group_size=4": 0.5}
    sweep = made(paper(SIZES), means, metric="eval_loss", mode="min")
    one, _, four, _ = sweep.conclusions().published.rows
    assert (one.verdict, one.estimate < 0) == ("replicated in direction", True)
    assert four.verdict == "equivalent"


def test_of_times_the_lower_one_is_better(made):
    sweep = made(paper(SIZES, better="lower"), {"group_size=1": 0.6})
    one = sweep.conclusions().published.rows[0]
    assert (one.published, one.verdict) == (0.22, "replicated in direction")


def test_rows_that_are_draws_have_no_direction(made):
    sweep = made(paper(SIZES, has_directions=False), {"group_size=1": 0.4})
    one, _, four, _ = sweep.conclusions().published.rows
    assert (one.verdict, four.verdict) == ("no direction published", "equivalent")


def test_a_baseline_that_stands_second_turns_the_pair(tmp_path):
    """All pairs have the earlier configuration first; the verdict is of the row against the base."""
    trials = [{"name": "lora", "method": LORA}, {"name": "mosa", "method": MOSA}]
    rows = [{"arm": "lora", "values": [80.79]}, {"arm": "mosa", "values": [87.63]}]
    design = {"kind": "replicate", "seeds": 5}
    entry = paper(rows, baseline="mosa")
    found = sweep_of(design, trials=trials, paper=entry)
    sweep = DesignSweep(tmp_path, found).run(by_method(mosa=0.6))
    lora, _ = sweep.conclusions().published.rows
    assert (lora.published, lora.verdict) == (-6.84, "replicated in direction")
    assert lora.interval[1] < 0


def test_a_published_row_is_found_by_the_name_that_it_has_on_the_profile(made):
    profile = {"arms": {"S=1": "group_size=1"}}
    rows = [{"arm": "S=1", "values": [59.40]}, *SIZES[1:]]
    sweep = made(paper(rows, profile=profile), {"group_size=1": 0.4})
    one = sweep.conclusions().published.rows[0]
    assert (one.arm, one.here, one.verdict) == ("S=1", "group_size=1", "replicated in direction")


def test_a_profile_is_compared_with_its_own_column(made):
    rows = [{**row, "values": [*row["values"], place]} for place, row in enumerate(SIZES)]
    entry = paper(rows, profile={"column": "BBH, %"}, columns=["MMLU, %", "BBH, %"], decimals=0)
    found = made(entry, {}).conclusions().published
    assert (found.column, found.baseline) == ("BBH, %", "group_size=2")
    assert [row.value for row in found.rows] == [0.0, 1.0, 2.0, 3.0]
    assert found.number(3.0) == "3"
    assert found.number(2.0, is_signed=True) == "+2"
    assert found.number(None) == ""


def test_before_the_seeds_have_ended_there_is_no_verdict(tmp_path):
    found = sweep_of(GROUPS, [MASA], paper=paper(SIZES))
    rows = DesignSweep(tmp_path, found).run(seeds=[0, 1]).conclusions().published.rows
    assert [row.verdict for row in rows] == ["not run here", None, "not run here", "not run here"]
    assert rows[0].why_not_run == "no verdict on this pair"


def test_times_are_not_compared_with_scores(made):
    entry = {**paper(SIZES, better="lower"), "reads": "bench-step"}
    rows = made(entry, {"group_size=1": 0.6}).conclusions().published.rows
    assert [row.verdict for row in rows] == ["not run here", None, "not run here", "not run here"]
    assert rows[0].why_not_run == "make bench-step times it"
    assert (rows[0].published, rows[0].estimate) == (0.22, None)


def test_an_item_without_numbers_has_no_rows():
    entry = {key: value for key, value in paper(SIZES).items() if key != "published"}
    found = published_of(PaperSpec.model_validate(entry), "embedded", None, ())
    assert (found.rows, found.column) == ((), "")


def test_a_document_has_it_and_one_without_a_paper_has_none(made, tmp_path):
    document = conclusions_document(made(paper(SIZES), {"group_size=1": 0.4}).conclusions())
    published = json.loads(json.dumps(document["published"]))
    assert published["paper"] == "MASA, Table 6"
    assert published["rows"][0]["verdict"] == "replicated in direction"
    other = DesignSweep(tmp_path / "other", sweep_of(GROUPS, [MASA])).run()
    assert conclusions_document(other.conclusions())["published"] is None


def test_a_paper_changes_no_trial(tmp_path):
    plain, asked = sweep_of(GROUPS, [MASA]), sweep_of(GROUPS, [MASA], paper=paper(SIZES))
    ids = [
        [drawn.spec.identity() for drawn in DesignSweep(tmp_path / name, sweep).trials]
        for name, sweep in (("plain", plain), ("asked", asked))
    ]
    assert ids[0] == ids[1]
