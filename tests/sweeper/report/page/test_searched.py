"""A search's trials stand by the values that it compared them by."""

from __future__ import annotations

import pytest

from sweeper.analysis.conclusions import conclusions_of
from sweeper.analysis.ranking import rank_sweep
from sweeper.report.page import subject, subject_of
from sweeper.report.page.charts import learning_charts, parallel_charts
from sweeper.report.page.searched import searched_of
from tests.sweeper.report import made


@pytest.fixture
def shared(tmp_path):
    return made.stopped_at_share(tmp_path / "home", tmp_path)


def numbers(found):
    return [trial.record.number for trial in found.trials]


def test_trials_stopped_at_a_share_stand_by_their_values_there(shared):
    found = searched_of(subject_of(shared, tracking_uri=""))
    assert numbers(found) == [0, 1, 2, 3, 4, 5]
    assert found.at == "after 30 of 120 steps"
    assert {trial.steps for trial in found.trials} == {30}
    # The one that went on, too: not by what it came to in the end.
    best = found.trials[0]
    assert best.record.status == "complete"
    assert best.value < best.record.metrics["accuracy"]


def test_what_was_not_compared_is_not_among_them(shared):
    failed = shared.trial(shared.trials()[3].id)
    failed.requeue()
    failed.begin()
    failed.fail("DivergedError", "the loss is nan")
    short = shared.trial(shared.trials()[4].id)
    (short.path / "metrics.jsonl").write_text("")
    assert numbers(searched_of(subject_of(shared, tracking_uri=""))) == [0, 1, 2, 5]


def test_without_a_share_they_are_the_complete_ones(hunt):
    found = searched_of(hunt)
    assert [trial.record for trial in found.trials] == list(hunt.ranking.ranked)
    assert found.at == ""


def test_the_charts_show_all_of_them(shared, monkeypatch):
    shown = subject_of(shared, tracking_uri="")
    (parallel,) = parallel_charts(shown)
    assert {row["t"] for row in parallel.spec["layer"][0]["data"]["values"]} == set(range(6))
    assert "6 trials, one seed each, accuracy on the validation rows after 30 of 120 steps" in (
        parallel.note
    )
    (learning,) = learning_charts(shown)
    assert {row["t"] for row in learning.spec["layer"][0]["data"]["values"]} == set(range(6))
    assert "5 of them were not trained to the end" in learning.note
    monkeypatch.setattr(subject, "MOST_SHOWN", 3)
    monkeypatch.setattr(subject, "_MOST_OTHERS", 2)
    (parallel,) = parallel_charts(subject_of(shared, tracking_uri=""))
    assert parallel.note.startswith("The best 3 of 6 trials")
    assert {row["t"] for row in parallel.spec["layer"][0]["data"]["values"]} == {0, 1, 2}


def test_a_single_evaluation_is_a_dot(shared):
    trial = shared.trial(shared.trials()[5].id)
    events = trial.path / "metrics.jsonl"
    events.write_text(events.read_text().splitlines(keepends=True)[0])
    (chart,) = learning_charts(subject_of(shared, tracking_uri=""))
    lines, dots = chart.spec["layer"]
    assert [row["t"] for row in dots["data"]["values"]] == [5]
    assert dots["mark"]["type"] == "point"
    assert lines["mark"]["type"] == "line"


def test_one_complete_trial_is_compared_with_none_and_the_next_command_is_named(shared):
    found = conclusions_of(shared, rank_sweep(shared))
    assert found.why_none == (
        "Nothing is compared: one trial alone was trained to its end. To compare the best, train "
        "more of them to theirs: 'python -m sweeper resume share-1 --set "
        "search.share.finalists=3'."
    )
    assert not found.best_sets
