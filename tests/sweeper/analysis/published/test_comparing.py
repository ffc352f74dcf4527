"""Rows of a paper's table, each with the verdict of a sweep on the same pair."""

from __future__ import annotations

import json

import pytest

from sweeper.analysis.conclusions import conclusions_document
from sweeper.analysis.published import arm_names, published_of
from sweeper.analysis.statistics.verdicts import Basis, BestSet, Conclusion
from sweeper.experiment.paper import PaperSpec
from tests.sweeper.designs import MASA, DesignSweep, configuration, sweep_of

GROUPS = {"kind": "one_factor", "factors": {"method": {"group_size": [1, 2, 4]}}, "seeds": 5}
SIZES = [
    {"arm": f"group_size={size}", "values": [value]}
    for size, value in ((1, 59.40), (2, 59.62), (4, 59.40), (8, 59.18))
]
BASIS = Basis("configurations", 0.95, (5, 5), 200, "test", fixed_rows=False, members=3)


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


def verdict(kind, first, second="group_size=2", estimate=0.1, contrasted="pair"):
    return Conclusion(
        kind=kind,
        family="against_control",
        contrasted=contrasted,
        names=(first, second),
        estimate=estimate,
        interval=(estimate - 0.03, estimate + 0.05),
        equivalence_interval=(estimate - 0.02, estimate + 0.02),
        delta=0.1,
        basis=BASIS,
    )


def published(entry, *statements, is_planned=True):
    plan = sweep_of(GROUPS, [MASA]).design if is_planned else None
    return published_of(PaperSpec.model_validate(entry), "embedded", plan, statements)


ONE, FOUR = "group_size=1", "group_size=4"


def test_each_row_has_the_verdict_on_its_pair():
    others = BestSet((ONE,), (FOUR,), of_methods=False, basis=BASIS)
    line = verdict("better", ONE, contrasted="line")
    worse, better = verdict("worse", ONE, estimate=-0.1), verdict("better_within_delta", FOUR)
    one, two, four, eight = published(paper(SIZES), others, line, worse, better).rows
    assert (one.value, one.published, one.verdict) == (59.40, -0.22, "replicated in direction")
    assert (one.estimate, one.interval, one.is_within_delta) == (-0.1, (-0.13, -0.05), False)
    assert (two.published, two.verdict, two.estimate, two.why_not_run) == (None, None, None, "")
    assert (four.published, four.verdict, four.is_within_delta) == (-0.22, "contradicted", True)
    assert (eight.published, eight.verdict) == (-0.44, "not run here")
    assert eight.why_not_run == "no such configuration on this profile"


@pytest.mark.parametrize(
    ("kind", "turned"),
    [
        ("better", "replicated in direction"),
        ("worse_within_delta", "contradicted"),
        ("equivalent", "equivalent"),
        ("undecided", "not distinguishable"),
    ],
)
def test_a_pair_whose_first_is_the_baseline_is_turned(kind, turned):
    """All pairs have the earlier configuration first; the verdict is of the row."""
    one = published(paper(SIZES), verdict(kind, "group_size=2", ONE)).rows[0]
    assert (one.published, one.verdict) == (-0.22, turned)
    # That of the verdict's own sentence.
    interval = (-0.12, -0.08) if kind == "equivalent" else (-0.15, -0.07)
    assert (one.estimate, one.interval) == (-0.1, pytest.approx(interval))


def test_of_times_the_lower_one_is_better():
    one = published(paper(SIZES, better="lower"), verdict("better", ONE)).rows[0]
    assert (one.published, one.verdict) == (0.22, "replicated in direction")


def test_rows_that_are_draws_have_no_direction():
    entry = paper(SIZES, has_directions=False)
    one, _, four, _ = published(entry, verdict("worse", ONE), verdict("equivalent", FOUR)).rows
    assert (one.verdict, four.verdict) == ("no direction published", "equivalent")


@pytest.mark.parametrize(
    ("least", "said"),
    [
        (0, ["replicated in direction", "contradicted"]),
        (0.4, ["no direction published", "contradicted"]),
        (0.44, ["no direction published", "contradicted"]),
        (0.45, ["no direction published", "no direction published"]),
    ],
)
def test_a_difference_below_the_least_has_no_direction(least, said):
    """59.40 is 0.22 below 59.62, and 59.18 is 0.44 below it: as large as the least is not below."""
    entry = paper(SIZES, least=least)
    rows = published(entry, verdict("worse", ONE), verdict("better", "group_size=8")).rows
    assert [(row.published, row.verdict) for row in (rows[0], rows[3])] == [
        (-0.22, said[0]),
        (-0.44, said[1]),
    ]


def test_a_row_that_the_paper_itself_denies_is_printed_and_has_no_direction():
    rows = [{**SIZES[0], "has_direction": False}, *SIZES[1:]]
    one, _, four, _ = published(paper(rows), verdict("worse", ONE), verdict("worse", FOUR)).rows
    assert (one.value, one.published, one.verdict) == (59.40, -0.22, "no direction published")
    assert four.verdict == "replicated in direction"


def test_the_least_changes_no_other_verdict():
    entry = paper(SIZES, least=1)
    rows = published(entry, verdict("equivalent", ONE), verdict("undecided", FOUR)).rows
    assert (rows[0].verdict, rows[2].verdict) == ("equivalent", "not distinguishable")


def test_a_number_that_is_not_printed_has_no_difference():
    rows = [{"arm": ONE, "values": [None]}, *SIZES[1:]]
    one = published(paper(rows), verdict("worse", ONE)).rows[0]
    assert (one.value, one.published, one.verdict) == (None, None, "no direction published")


def test_a_row_is_found_by_the_name_that_it_has_on_the_profile():
    profile = {"arms": {"S=1": ONE, "S=2": "group_size=2"}}
    rows = [{"arm": "S=1", "values": [59.40]}, {"arm": "S=2", "values": [59.62]}]
    entry = paper(rows, profile=profile, baseline="S=2")
    found = published(entry, verdict("worse", ONE))
    assert found.baseline == "group_size=2"
    assert (found.rows[0].arm, found.rows[0].here) == ("S=1", ONE)
    assert found.rows[0].verdict == "replicated in direction"


def test_a_profile_is_compared_with_its_own_column():
    rows = [{**row, "values": [*row["values"], place]} for place, row in enumerate(SIZES)]
    entry = paper(rows, profile={"column": "BBH, %"}, columns=["MMLU, %", "BBH, %"], decimals=0)
    found = published(entry)
    assert found.column == "BBH, %"
    assert [row.value for row in found.rows] == [0.0, 1.0, 2.0, 3.0]
    assert (found.number(3.0), found.number(2.0, is_signed=True)) == ("3", "+2")
    assert found.number(None) == ""


def test_a_pair_without_a_verdict_says_so():
    rows = published(paper(SIZES)).rows
    assert [row.verdict for row in rows] == ["not run here", None, "not run here", "not run here"]
    assert rows[0].why_not_run == "no verdict on this pair"


def test_a_row_says_itself_why_it_is_not_run():
    rows = [*SIZES[:2], {"arm": "base", "values": [23.12], "not_run": "it is frozen"}]
    assert published(paper(rows)).rows[2].why_not_run == "it is frozen"


def test_times_are_not_compared_with_scores():
    entry = {**paper(SIZES, better="lower"), "reads": "bench-step"}
    one = published(entry, verdict("better", ONE)).rows[0]
    assert (one.published, one.estimate, one.verdict) == (0.22, None, "not run here")
    assert one.why_not_run == "make bench-step times it"


def test_an_item_without_numbers_has_no_rows():
    entry = {key: value for key, value in paper(SIZES).items() if key != "published"}
    found = published(entry, is_planned=False)
    assert (found.rows, found.column) == ((), "")


def test_the_arms_of_tuned_methods_are_the_methods():
    rates = {"low": 1e-3, "high": 4e-3, "count": 4}
    tuned = {"kind": "paired", "rates": rates, "seeds": 2, "control": "none"}
    plans = [sweep_of(tuned).design, sweep_of(GROUPS, [MASA]).design]
    names = ("lora", "mosa"), (ONE, "group_size=2", FOUR, "masa_control")
    assert tuple(arm_names(plan) for plan in plans if plan is not None) == names


@pytest.mark.parametrize(
    ("metric", "mode", "value"), [("accuracy", "max", 0.4), ("eval_loss", "min", 0.6)]
)
def test_the_verdicts_of_a_sweep_are_taken_as_they_are(tmp_path, metric, mode, value):
    """A loss is turned, so that here, too, more is better."""
    objective = {"metric": metric, "mode": mode}
    sweep = sweep_of(GROUPS | {"seeds": 2}, [MASA], paper=paper(SIZES), objective=objective)
    made = DesignSweep(tmp_path, sweep).run(lambda x: value if configuration(x) == ONE else 0.5)
    found = made.conclusions()
    assert found.published is not None
    one = found.published.rows[0]
    own = next(x for x in found.statements if getattr(x, "names", ()) == (ONE, "group_size=2"))
    assert (one.estimate, one.interval) == (own.estimate, own.interval)
    assert one.estimate is not None
    assert (one.estimate < 0, one.verdict) == (True, "replicated in direction")
    document = json.loads(json.dumps(conclusions_document(found)["published"]))
    assert document["paper"] == "MASA, Table 6"
    assert document["rows"][0]["verdict"] == "replicated in direction"


def test_a_paper_changes_no_trial(tmp_path):
    plain, asked = sweep_of(GROUPS, [MASA]), sweep_of(GROUPS, [MASA], paper=paper(SIZES))
    sweeps = [DesignSweep(tmp_path / str(n), sweep) for n, sweep in enumerate((plain, asked))]
    ids = [[drawn.spec.identity() for drawn in sweep.trials] for sweep in sweeps]
    assert ids[0] == ids[1]
    found = sweeps[0].conclusions()
    assert (found.published, conclusions_document(found)["published"]) == (None, None)
