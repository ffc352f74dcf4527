"""The page at the end of a sweep: it is named and sent, and its failure is no failure."""

from __future__ import annotations

import logging
import shutil

import pytest
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.cli.commands import results
from sweeper.cli.publishing import published
from sweeper.report.page import subject_of, write_page
from sweeper.tracking.mlflow_view import MlflowView, resolve_tracking_uri
from sweeper.tracking.mlflow_view.store import connect
from tests.sweeper.report import made
from tests.sweeper.stores import empty_store


@pytest.fixture
def subject(tmp_path):
    sweep = made.sweep_of(tmp_path, made.ONE_FACTOR, "design.seeds=2")
    folder = made.designed(tmp_path / "home", "short-1", sweep, lambda name, _: 0.6)
    return subject_of(folder, tracking_uri="")


def test_the_page_of_a_sweep_that_has_ended_is_in_mlflow(subject):
    home = subject.folder.home
    shutil.copy(empty_store(), home / "mlflow.db")
    page = published(subject, None)
    assert page == subject.folder.path / "report.html"
    client = connect(resolve_tracking_uri(home, None))
    experiment = client.get_experiment_by_name("sweeper")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"report.html", "figures", "leaderboard.json"} <= names
    best = subject.ranking.best
    assert run.data.metrics["1_result/accuracy"] == subject.ranking.score(best).value
    said = [run.data.tags[f"verdict.{number:02d}"] for number in (1, 2)]
    assert said == [words.sentence for words in subject.conclusions.verdicts[:2]]


def test_a_page_that_cannot_be_written_is_a_warning(subject, caplog):
    (subject.folder.path / "report.html" / "in-the-way").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert published(subject, None) is None
    assert "the report page was not written" in caplog.text
    assert f"report {subject.folder.path} --html" in caplog.text


def test_a_sweep_that_is_not_there_is_bad_input(tmp_path):
    arguments = ["report", "none-1", "out.html", "--html", "--home", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "got 'none-1'" in result.stderr


REFRESH = '<meta http-equiv="refresh" content="10">'


def test_a_page_that_is_watched_follows_the_sweep_and_then_rests(subject, monkeypatch):
    folder, written = subject.folder, []
    page = folder.path / "report.html"
    runs = iter([True, True, True, False])
    monkeypatch.setattr(results, "_any_runs", lambda folders: next(runs, False))
    monkeypatch.setattr(results, "_pause", lambda *_: written.append(page.read_text()))
    arguments = ["report", str(folder.path), "--html", "--watch"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "400"})
    assert result.exit_code == 0, result.output
    assert [REFRESH in text for text in written] == [True] * 3
    # The last one is written with its figures, and no browser reads it again.
    assert REFRESH not in page.read_text()
    assert (folder.path / "figures").is_dir()
    assert f"Open {page} in a browser" in result.stdout
    assert result.stdout.splitlines()[-1] == str(page)


def test_ctrl_c_leaves_a_page_that_rests(subject, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "_any_runs", lambda folders: True)
    monkeypatch.setattr(results, "_pause", interrupt)
    arguments = ["report", str(subject.folder.path), "--html", "--watch"]
    assert CliRunner().invoke(app, arguments).exit_code == 130
    assert REFRESH not in (subject.folder.path / "report.html").read_text()


def test_a_watch_needs_a_page(subject):
    result = CliRunner().invoke(app, ["report", str(subject.folder.path), "--watch"])
    assert result.exit_code == 2
    assert "--watch: given without --html" in result.stderr


def test_a_page_of_a_sweep_that_runs_is_not_sent(subject):
    home = subject.folder.home
    shutil.copy(empty_store(), home / "mlflow.db")
    write_page([subject], subject.folder.path / "report.html", refresh_s=10)
    view = MlflowView(subject.folder)
    with subject.folder.lock():
        assert view.sync(page_only=True).is_complete
    client = connect(resolve_tracking_uri(home, None))
    (run,) = client.search_runs([view.experiment_id])
    assert "report.html" not in {item.path for item in client.list_artifacts(run.info.run_id)}
