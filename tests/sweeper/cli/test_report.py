"""The page at the end of a sweep: it is named and sent, and its failure is no failure."""

from __future__ import annotations

import logging
import shutil

import pytest
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.cli.sweep import _published
from sweeper.report.page import subject_of
from sweeper.tracking.mlflow_view import resolve_tracking_uri
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
    page = _published(subject, None)
    assert page == subject.folder.path / "report.html"
    client = connect(resolve_tracking_uri(home, None))
    experiment = client.get_experiment_by_name("sweeper")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"report.html", "figures"} <= names
    said = [run.data.tags[f"verdict.{number:02d}"] for number in (1, 2)]
    assert said == [words.sentence for words in subject.conclusions.verdicts[:2]]


def test_a_page_that_cannot_be_written_is_a_warning(subject, caplog):
    (subject.folder.path / "report.html" / "in-the-way").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert _published(subject, None) is None
    assert "the report page was not written" in caplog.text
    assert f"report {subject.folder.path} --html" in caplog.text


def test_a_sweep_that_is_not_there_is_bad_input(tmp_path):
    arguments = ["report", "none-1", "out.html", "--html", "--home", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "got 'none-1'" in result.stderr
