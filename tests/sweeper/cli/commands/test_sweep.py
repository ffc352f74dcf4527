"""What `run` and `resume` say besides the table: where the sweep is seen, and what takes long."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from sweeper.cli.commands.sweep import _have_ended, _mlflow_line, _warm_up
from sweeper.cli.output import Output
from sweeper.tracking.record import TrialRecord
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


def record(status: str, **fields: object) -> TrialRecord:
    return TrialRecord.model_validate(
        {"id": "1" * 12, "number": 0, "method": "lora", **fields, "status": status}
    )


def test_the_page_is_got_ready_when_all_trials_have_ended_but_those_that_go_on():
    ended = [record("pruned"), record("failed"), record("running", is_finalist=True)]
    assert _have_ended(ended, 3)
    assert not _have_ended(ended, 4)
    assert not _have_ended([*ended, record("running")], 4)


@pytest.mark.parametrize("error", [None, OSError("no room")])
def test_what_goes_wrong_while_the_page_is_got_ready_ends_no_sweep(monkeypatch, error):
    done = []

    def warm_up() -> None:
        done.append(1)
        if error is not None:
            raise error

    monkeypatch.setattr("sweeper.report.page.writing.warm_up", warm_up)
    _warm_up()
    assert done == [1]
