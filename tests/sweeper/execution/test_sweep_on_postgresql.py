"""A sweep on Ray with its study and MLflow on PostgreSQL, beside another driver on the same two."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from sweeper.errors import BadInputError
from sweeper.search import driven, read_study
from sweeper.search import storage as storage_module
from sweeper.tracking.databases import STUDY_NOTE, place_of_study
from sweeper.tracking.mlflow_view.store import connect
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.one_driver import new_sweep
from tests.sweeper.postgresql import PASSWORD, Server, running_server

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

SPACE = """
name: tiny
profile: tiny
methods:
  - {name: lora, rank: 4}
train: {learning_rate: {loguniform: [1e-3, 3e-3]}}
search: {trials: 2, asha: null, prefetch: 0}
"""
PROFILE = """
name: tiny
model: {kind: embedded}
data: {kind: embedded}
resources: {max_replicas: 1}
train: {steps: 8, batch_size: 4, evaluations: 2, eval_examples: 8}
"""


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def space(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "tiny.yaml").write_text(PROFILE)
    space = tmp_path / "tiny.yaml"
    space.write_text(SPACE)
    return space


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "sweeper", *map(str, words)]


def test_a_sweep_beside_another_driver(
    server: Server, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, home = server.new_database(), tmp_path / "home"
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", server.new_database())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setattr(storage_module, "WAIT_S", 0.0)
    run = command("run", space, "--name", "night", "--home", home, "--json")
    beside = new_sweep(home, "beside")
    (tmp_path / "go").touch()
    driver = "tests.sweeper.one_driver"
    other = [sys.executable, "-m", driver, str(beside.path), str(tmp_path / "go"), "2"]
    with (
        subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first,
        subprocess.Popen(other, stderr=subprocess.PIPE, text=True) as second,
    ):
        try:
            note = home / "night" / STUDY_NOTE
            while not note.exists():
                assert first.poll() is None, first.communicate()
                time.sleep(0.1)
            # A copy of the folder has a lock of its own, the study has not.
            shutil.copytree(note.parent, tmp_path / "copy" / "night")
            copy = SweepFolder(tmp_path / "copy" / "night")
            with (
                pytest.raises(BadInputError, match="is driven by another process"),
                driven(place_of_study(copy), tell=lambda _: None),
            ):
                pass
            out, err = first.communicate(timeout=400)
            _, other_err = second.communicate(timeout=100)
        finally:
            first.kill()
            second.kill()
    assert (first.returncode, second.returncode) == (0, 0), err + other_err
    assert [trial["status"] for trial in json.loads(out)["trials"]] == ["complete"] * 2
    client = connect(store)
    experiment = client.get_experiment_by_name("sweeper").experiment_id
    folders = [SweepFolder(home / "night"), beside]
    assert len(client.search_runs([experiment])) == 2 * 3
    for folder in folders:
        assert not (folder.path / "optuna.db").exists()
        study = read_study(place_of_study(folder))
        assert study is not None
        assert [trial.state for trial in study.get_trials()] == [TrialState.COMPLETE] * 2
    assert PASSWORD not in out + err
    assert "p%40ss" not in out + err
    # Nothing is left to be done, and the study is asked for it.
    again = command("resume", "night", "--home", home)
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    without = {k: v for k, v in os.environ.items() if k != "SWEEPER_OPTUNA_STORAGE"}
    told = subprocess.run(again, capture_output=True, text=True, check=False, env=without)
    assert told.returncode == 2
    assert "'night' has its study at postgresql://127.0.0.1" in told.stderr
    assert len(told.stderr.splitlines()) == 1
    for path in (home / "night").rglob("*"):
        if path.is_file() and "ray" not in path.relative_to(home / "night").parts[:1]:
            assert PASSWORD.encode() not in path.read_bytes(), path
            assert b"p%40ss" not in path.read_bytes(), path
