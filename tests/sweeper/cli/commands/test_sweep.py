"""What `run` and `resume` say besides the table: where the sweep is seen, and what takes long."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from sweeper.cli.commands.sweep import _mlflow_line
from sweeper.cli.output import Output
from sweeper.tracking.sweep_folder import SweepFolder


@pytest.fixture
def driver(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("SWEEPER_HOME", raising=False)
    folder = SweepFolder.create(tmp_path / "my sweeps", "masa-1", document={})
    return SimpleNamespace(folder=folder, tracking_uri=None, experiment=None)


def test_a_store_of_the_sweeps_has_a_command_that_serves_it(driver, monkeypatch):
    line = _mlflow_line(driver)
    assert line == f"MLflow: python -m sweeper ui masa-1 --home '{driver.folder.home}'"
    monkeypatch.setenv("SWEEPER_HOME", str(driver.folder.home))
    assert _mlflow_line(driver) == "MLflow: python -m sweeper ui masa-1"
    driver.tracking_uri = "postgresql://user:secret@db/mlflow"
    line = _mlflow_line(driver)
    assert line.endswith(" --tracking-uri postgresql://db/mlflow")
    assert "secret" not in line


def test_a_server_has_an_address(driver):
    driver.tracking_uri = "http://user:secret@mlflow.example:5000"
    # The experiment is not made yet.
    expected = "MLflow: http://mlflow.example:5000/#/experiments?workflowType=machine_learning"
    assert _mlflow_line(driver) == expected


def test_what_takes_long_is_told_also_in_a_log():
    out = Output(as_json=False, stdout=io.StringIO())
    out.console.file = io.StringIO()
    with out.waiting("comparing the trials"):
        pass
    assert out.console.file.getvalue() == "Comparing the trials …\n"
