"""What is published beside what was found: texts, in the terminal and on the page."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console, Group

from sweeper.analysis.conclusions import ParityLine
from sweeper.analysis.ranking import rank_sweep
from sweeper.report.page import page_text, subject_of
from sweeper.report.papers import beside_ours
from sweeper.report.terminal import sweep_view
from sweeper.report.terminal.sweep.published import published_view
from sweeper.tracking import SweepFolder
from tests.sweeper.analysis.published.test_comparing import GROUPS, SIZES, paper
from tests.sweeper.designs import MASA, DesignSweep, configuration, sweep_of


def folder_of(tmp_path, entry):
    means = {"group_size=1": 0.4}
    sweep = sweep_of(GROUPS | {"seeds": 2}, [MASA], paper=entry)
    made = DesignSweep(tmp_path, sweep).run(lambda drawn: means.get(configuration(drawn), 0.5))
    return SweepFolder(made.folder.path), made.conclusions()


@pytest.fixture
def made(tmp_path):
    return folder_of(tmp_path, paper(SIZES))


def text_of(view, width):
    stream = io.StringIO()
    Console(file=stream, width=width).print(view)
    return stream.getvalue()


def test_each_number_stands_beside_its_own(made):
    folder, found = made
    shown = beside_ours(found, rank_sweep(folder))
    assert shown.title == "Published: MASA, Table 6"
    assert "published: MMLU, %, with the difference to group_size=2" in shown.lead[1]
    assert "accuracy (test), with the difference, in points and its interval" in shown.lead[1]
    rows = {row[0]: row[1:] for row in shown.rows}
    assert rows["group_size=2"][0] == "59.62"
    assert rows["group_size=2"][2:] == ("", "baseline")
    assert rows["group_size=1"][0] == "59.40 (-0.22)"
    assert float(rows["group_size=1"][1].split()[0]) == pytest.approx(0.4, abs=0.01)
    assert float(rows["group_size=1"][2].split()[0]) == pytest.approx(-10, abs=1)
    assert rows["group_size=1"][3] == "replicated in direction"
    assert rows["group_size=8"] == ("59.18 (-0.44)", "", "", "not run here")
    assert "group_size=8: not run here, no such configuration on this profile." in shown.notes
    assert any(note.startswith("Parity: 2 comparisons, ") for note in shown.notes)
    assert "the signs alone are compared" in shown.notes[-1]


def test_scores_are_of_the_units_that_the_difference_is_of(tmp_path):
    """A hundred rows of one unit count once in both, or the scores could deny the sign."""
    made = DesignSweep(tmp_path, sweep_of(GROUPS | {"seeds": 2}, [MASA], paper=paper(SIZES)))
    made.clusters = [max(0, row - 100) for row in range(200)]
    made.run()
    found = made.conclusions()
    shown = beside_ours(found, rank_sweep(SweepFolder(made.folder.path)))
    rows = {row[0]: row for row in shown.rows}
    score = {name: float(row[2].split()[0]) for name, row in rows.items() if row[2]}
    apart = 100 * (score["group_size=1"] - score["group_size=2"])
    assert apart == pytest.approx(float(rows["group_size=1"][3].split()[0]), abs=0.02)


def test_parity_is_of_what_stands_beside_the_paper(made):
    """The rate that the control arm alone has is none of its caveats."""
    folder, found = made
    lines = (
        ParityLine("size", "sizes differ", holds=False, names=("group_size=1",)),
        ParityLine("learning rate", "not tuned", holds=False, names=("masa_control",)),
        ParityLine("end", "ended early", holds=False),
        ParityLine("trials", "2 of each", holds=True, names=("group_size=1",)),
    )
    ranking = rank_sweep(folder)
    unlike = beside_ours(dataclasses.replace(found, parity=lines), ranking)
    assert "Parity: 2 comparisons, not alike in size, end." in unlike.notes
    alike = beside_ours(dataclasses.replace(found, parity=lines[1:2]), ranking)
    assert "Parity: 2 comparisons, alike in all that was looked at." in alike.notes


def test_the_least_difference_is_said_in_the_notes(tmp_path):
    folder, found = folder_of(tmp_path, paper(SIZES, least=0.3))
    shown = beside_ours(found, rank_sweep(folder))
    assert "Published differences below 0.30 have no direction." in shown.notes
    rows = {row[0]: row[-1] for row in shown.rows}
    assert rows["group_size=1"] == "no direction published"


def test_a_difference_that_the_paper_denies_is_said_in_the_notes(tmp_path):
    folder, found = folder_of(tmp_path, paper([{**SIZES[0], "has_direction": False}, *SIZES[1:]]))
    shown = beside_ours(found, rank_sweep(folder))
    said = "Other numbers of the paper deny the difference of group_size=1: it has no direction."
    assert said in shown.notes
    rows = {row[0]: row for row in shown.rows}
    assert rows["group_size=1"][1] == "59.40 (-0.22)"
    assert rows["group_size=1"][-1] == "no direction published"


@pytest.mark.parametrize(("width", "has_scores"), [(80, False), (160, True)])
def test_the_table_fits_the_terminal(made, width, has_scores):
    folder, found = made
    ranking = rank_sweep(folder)
    text = text_of(Group(*published_view(found, ranking)), width)
    assert max(map(len, text.splitlines())) <= width
    line = next(x for x in text.splitlines() if x.startswith("group_size=1 "))
    assert "59.40 (-0.22)" in line
    assert "replicated in" in line
    assert (" ± " in line) == has_scores
    assert "Published: MASA, Table 6" in text_of(sweep_view(folder, ranking, found), width)


def test_the_page_has_the_section(made):
    folder, _ = made
    page = page_text([subject_of(folder, tracking_uri="")])
    assert "<h2>Published: MASA, Table 6</h2>" in page
    assert "59.40 (-0.22)" in page
    assert "replicated in direction" in page


def test_a_sweep_of_no_paper_has_no_section(tmp_path):
    sweep = sweep_of(GROUPS, [MASA])
    made = DesignSweep(tmp_path, sweep).run()
    folder, found = SweepFolder(made.folder.path), made.conclusions()
    assert beside_ours(found, rank_sweep(folder)) is None
    assert list(published_view(found, rank_sweep(folder))) == []
    assert "Published" not in page_text([subject_of(folder, tracking_uri="")])


def test_an_item_without_numbers_says_how_it_is_read(tmp_path):
    entry = {key: value for key, value in paper(SIZES).items() if key != "published"}
    folder, found = folder_of(tmp_path, {**entry, "reads": "projection"})
    shown = beside_ours(found, rank_sweep(folder))
    assert shown.rows == ()
    assert shown.lead == ("The paper: Two is best.",)
    assert "python -m sweeper inspect SWEEP/TRIAL --projection" in shown.notes[0]


def test_a_difference_below_delta_is_told(tmp_path):
    sweep = sweep_of({**GROUPS, "delta": 0.5, "seeds": 2}, [MASA], paper=paper(SIZES))
    means = {"group_size=1": 0.4}
    made = DesignSweep(tmp_path, sweep).run(lambda drawn: means.get(configuration(drawn), 0.5))
    shown = beside_ours(made.conclusions(), rank_sweep(SweepFolder(made.folder.path)))
    assert shown.notes[0] == "By less than 50 points: group_size=1."


def test_what_was_set_by_hand_comes_first(tmp_path):
    entry = paper(SIZES) | {"changed": ["design.seeds=2", "train.steps=40"]}
    folder, found = folder_of(tmp_path, entry)
    shown = beside_ours(found, rank_sweep(folder))
    assert shown.lead[1] == "Not as in the file: --set design.seeds=2, train.steps=40."
