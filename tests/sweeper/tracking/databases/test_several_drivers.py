"""Several drivers on one PostgreSQL: studies in one database, MLflow in another, nothing twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import TrialState

from sweeper.errors import BadInputError
from sweeper.search import read_study
from sweeper.tracking.databases import place_of_study
from sweeper.tracking.mlflow_view import MlflowView, require_store, ui_command
from sweeper.tracking.mlflow_view.store import connect
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.one_driver import STEPS, new_sweep
from tests.sweeper.postgresql import PASSWORD, Server, running_server
from tests.sweeper.tracking.mlflow_view.fakes import history

TRIALS = 3
# Seconds for programs that import MLflow, on a machine that is busy.
WAIT_S = 280.0


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def studies(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    uri = server.new_database()
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", uri)
    return uri


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def run_together(folders: list[SweepFolder], place: Path) -> None:
    """Lets a driver of each sweep begin at the same moment, and waits for them."""
    go = place / "go"
    command = [sys.executable, "-m", "tests.sweeper.one_driver"]
    drivers = [
        subprocess.Popen(
            [*command, str(folder.path), str(go), str(TRIALS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for folder in folders
    ]
    try:
        wait_until(lambda: all((folder.path / "ready").exists() for folder in folders))
        go.touch()
        said = [driver.communicate(timeout=WAIT_S)[0] for driver in drivers]
    finally:
        for driver in drivers:
            driver.kill()
            driver.wait()
    assert [driver.returncode for driver in drivers] == [0] * len(drivers), "\n".join(said)
    # Nothing is told: neither of tables that are made, nor a password.
    assert said == [""] * len(drivers)


def runs_of(client: MlflowClient, folder: SweepFolder) -> dict[str, Run]:
    """The runs of a sweep by their tag `trial`; the sweep's own by the empty string."""
    experiment = client.get_experiment_by_name("sweeper")
    own = f"tags.sweep_id = '{folder.about().sweep_id}'"
    found = client.search_runs([experiment.experiment_id], own)
    by_trial = {run.data.tags.get("trial", ""): run for run in found}
    assert len(by_trial) == len(found)
    return by_trial


def check_each_trial_once(folder: SweepFolder, client: MlflowClient) -> None:
    study = read_study(place_of_study(folder))
    assert study is not None
    assert [(trial.number, trial.state) for trial in study.get_trials()] == [
        (number, TrialState.COMPLETE) for number in range(TRIALS)
    ]
    records = folder.trials()
    assert sorted(record.number for record in records) == list(range(TRIALS))
    runs = runs_of(client, folder)
    assert runs.keys() == {"", *(record.id for record in records)}
    for record in records:
        wanted = [(step, 5.0 / step) for step in range(1, STEPS + 1)]
        assert history(client, runs[record.id], "eval_loss") == wanted


@contextmanager
def mlflow_server(store: str, place: Path) -> Iterator[str]:
    """Yields the address of MLflow's server on a store."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    command = ui_command(place, port, tracking_uri=store)
    with (place / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={
                **os.environ,
                "MLFLOW_BACKEND_STORE_URI": store,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (place / "server.log").read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_until(answers)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_drivers_that_begin_at_once_on_empty_databases_and_behind_a_server(
    server: Server, studies: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = server.new_database()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    # Of one name, in two homes.
    folders = [new_sweep(tmp_path / home, "night") for home in ("one", "two")]
    folders.append(new_sweep(tmp_path / "two", "other"))
    run_together(folders, tmp_path)
    client = connect(store)
    assert sorted(x.name for x in client.search_experiments()) == ["Default", "sweeper"]
    (tmp_path / "go").unlink()
    with mlflow_server(store, tmp_path) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        folders += [new_sweep(tmp_path / home, "served") for home in ("one", "two")]
        run_together(folders[3:], tmp_path)
    for folder in folders:
        check_each_trial_once(folder, client)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert PASSWORD.encode() not in content, path
            assert b"p%40ss" not in content, path


def test_a_store_that_is_away_is_told_at_once_and_gets_the_rest_later(
    server: Server, tmp_path: Path
) -> None:
    store = server.new_database()
    folder = new_sweep(tmp_path, "night")
    trial = folder.add_trial("0" * 12, spec={}, number=0, method="lora", params={}, steps_total=1)
    trial.begin()
    trial.append(1, {"eval_loss": 1.0})
    view = MlflowView(folder, tracking_uri=store)
    assert view.sync().is_complete
    trial.append(2, {"eval_loss": 0.5})
    server.stop()
    begin_s = time.monotonic()
    with pytest.raises(BadInputError, match=r"MLflow's store: postgresql://127.* refused") as told:
        require_store(tmp_path, store)
    result = view.sync()
    assert not result.is_complete
    again = view.sync()
    assert not again.is_complete
    # MLflow itself would ask for a hundred seconds each time.
    assert time.monotonic() - begin_s < 60
    for text in (str(told.value), *result.errors, *again.errors):
        assert PASSWORD not in text
        assert "p%40ss" not in text
    server.start()
    assert view.sync().is_complete
    run = runs_of(connect(store), folder)[trial.id]
    assert history(connect(store), run, "eval_loss") == [(1, 1.0), (2, 0.5)]
