"""What stands on a page: of a design, of tuned methods, of a search."""

from __future__ import annotations

import pytest

from sweeper.report.page import page_text, subject_of
from sweeper.report.page.contents import contents_of
from sweeper.report.page.tables import over_seeds
from sweeper.tracking.owner.revising import revise
from tests.sweeper.report import made


@pytest.fixture(scope="module")
def pair(home, tmp_path_factory):
    """Three methods at eight rates; a seed of one has failed."""
    folder = made.tuned(home, tmp_path_factory.mktemp("space"))
    return subject_of(folder, tracking_uri="")


@pytest.fixture(scope="module")
def contents(pair):
    return contents_of(pair)


def values(chart):
    return [row for layer in chart.spec["layer"] for row in layer["data"]["values"]]


def test_tuned_methods_are_rows_and_have_curves_with_peaks(pair, contents):
    found = pair.conclusions.differences
    assert found is not None
    assert ([row.name for row in found.rows], found.of) == (["lora", "mosa", "dora"], "methods")
    assert found.reference == "mosa"
    assert contents.compared_error == "±: standard error of the peak"
    pairs = {x.names: x for x in pair.conclusions.statements if hasattr(x, "names")}
    assert found.rows[0].estimate == pairs["lora", "mosa"].estimate
    (rates,) = contents.charts["rates"]
    *_, means, peaks = rates.spec["layer"]
    assert len(means["data"]["values"]) == 24
    tops = {row["c"]: row["x"] for row in peaks["data"]["values"]}
    assert tops.keys() == {"lora", "mosa", "dora"}
    assert 1e-3 < tops["lora"] < tops["mosa"] < 1e-2


def test_curves_have_a_line_a_seed_and_a_band_a_configuration(contents):
    (chart,) = contents.charts["learning"]
    lines, bands, means = (layer["data"]["values"] for layer in chart.spec["layer"])
    # Of each method the rate that validation chose, with both seeds.
    assert len({row["t"] for row in lines}) == 6
    assert len({row["c"] for row in bands}) == 3
    assert bands == means
    assert all(row["low"] <= row["y"] <= row["high"] for row in bands)
    assert "400 validation rows" in chart.note


def test_failures_have_their_reason_and_their_configuration(contents):
    assert contents.failures is not None
    ((number, name, reason, _),) = contents.failures.rows
    assert (number, reason) == ("20", "DivergedError: the loss is nan at step 40")
    (row,) = [row for row in contents.configurations.rows if row[0] == name]
    assert row[1] == "1 (1 failed)"


def test_of_a_tuned_method_the_tasks_are_of_the_rate_that_was_chosen(pair, contents):
    assert contents.tasks is not None
    *methods, base = [row[0] for row in contents.tasks.rows]
    assert methods == [group.name for group in pair.chosen]
    assert [name.partition(",")[0] for name in methods] == ["lora", "mosa", "dora"]
    assert base == "frozen base"


def test_tables_by_task_and_cost_add_up(groups):
    contents = contents_of(groups)
    assert contents.tasks is not None
    assert contents.tasks.head == ("configuration", "boolq/accuracy", "piqa/accuracy")
    assert [row[0] for row in contents.tasks.rows][-1] == "frozen base"
    for group, row in zip(groups.groups, contents.configurations.rows, strict=True):
        assert row[2] == over_seeds(groups.scores(group))
    assert [row[0] for row in contents.cost.rows] == [
        "masa",
        "masa_control",
        "all",
        "test evaluation",
    ]
    assert contents.cost.rows[2][1] == "20"


def test_a_search_has_parallel_coordinates_and_speaks_of_adapters(hunt):
    contents = contents_of(hunt)
    (chart,) = contents.charts["search"]
    rows, ticks = (layer["data"]["values"] for layer in chart.spec["layer"])
    assert {row["p"] for row in rows} >= {"learning_rate", "method"}
    assert len({row["t"] for row in rows}) == 6
    assert all(0 <= row["y"] <= 1 for row in rows)
    assert {row["p"] for row in ticks} == {row["p"] for row in rows}
    assert not contents.charts["rates"]
    (comparison,) = contents.charts["comparison"]
    assert comparison.note.startswith("One adapter each, 200 validation rows.")


def test_every_plot_names_its_seeds_rows_and_split(contents, groups, hunt):
    for own in (contents, contents_of(groups), contents_of(hunt)):
        assert own.all_charts
        for chart in own.all_charts:
            assert "rows" in chart.note
            assert "seed" in chart.note or "adapter" in chart.note or "trial" in chart.note
            assert "test" in chart.note or "validation" in chart.note


def test_a_sweep_that_has_just_begun_has_a_page(tmp_path):
    sweep = made.sweep_of(tmp_path, made.ONE_FACTOR)
    folder = made.Made(tmp_path, "new-1", sweep).folder
    contents = contents_of(subject_of(folder, tracking_uri=""))
    assert (contents.verdicts, contents.all_charts) == ((), ())
    assert contents.remarks == ("No trial is complete with a score, so there is no best trial.",)


def test_a_long_search_shows_its_best_trials_and_says_how_many_are_elsewhere(
    hunt, tmp_path, monkeypatch
):
    monkeypatch.setattr("sweeper.report.page.subject.MOST_SHOWN", 3)
    monkeypatch.setattr("sweeper.report.page.subject._MOST_OTHERS", 0)
    # Of its own: what a subject shows is looked up once.
    long = subject_of(hunt.folder, tracking_uri="")
    found = contents_of(long)
    best = [trial.id for trial in long.ranking.ranked[:3]]
    assert sorted(row[1] for row in found.trials.rows) == sorted(best)
    assert found.left_out == len(long.ranking.trials) - 3
    assert {trial["id"] for trial in found.document["trials"]} == set(best)
    assert found.document["trials_left_out"] == found.left_out
    assert len(long.document["trials"]) == len(long.ranking.trials)
    assert len(found.configurations.rows) == 3
    (parallel,) = [x for x in found.charts["search"] if x.name == "parallel"]
    assert f"The best 3 of {len(long.ranking.ranked)} trials" in parallel.note
    page = page_text([long])
    assert f"{found.left_out} more are in <code>leaderboard.json</code>" in page


def test_a_search_that_was_changed_says_so_and_marks_what_falls_outside(tmp_path):
    folder = made.searched(tmp_path / "home", tmp_path, trials=4)
    ranks = sorted({str(trial.params["rank"]) for trial in folder.trials()})
    revise(folder, ["methods.lora.rank={choice: [2, 64]}", "methods.mosa.rank={choice: [64]}"])
    subject = subject_of(folder, tracking_uri="")
    outside = {trial.id for trial in folder.trials() if trial.params["rank"] != 2}
    assert ranks
    assert subject.ranking.outside == outside
    assert [trial["id"] for trial in subject.document["trials"] if trial["is_outside"]] == [
        trial.id for trial in subject.ranking.trials if trial.id in outside
    ]
    (revision,) = subject.document["revisions"]
    assert len(revision["changes"]) == 2
    found = contents_of(subject)
    assert "From trial 4 on, " in found.lead
    marked = {row[1] for row in found.trials.rows if any("outside the space" in x for x in row)}
    assert marked == outside
