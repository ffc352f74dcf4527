"""A sweep kept on S3, whose machine dies with all that was on its disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sweeper._environment import folder_of
from sweeper.experiment.trial import TrialSpec
from sweeper.tracking.mirror.stores import open_store
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper import scenarios
from tests.sweeper.s3 import s3_server
from tests.sweeper.stores import empty_store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

URL = "s3://bucket/sweeps"
SPACE = """
name: tiny
profile: tiny
methods:
  - {name: lora, rank: 4}
train: {learning_rate: {grid: [1e-3, 3e-3, 2e-3]}}
search: {trials: 3, asha: null, prefetch: 0}
"""
PROFILE = """
name: tiny
model: {kind: embedded}
data: {kind: embedded}
resources: {max_replicas: 1}
train: {steps: 48, batch_size: 4, evaluations: 8, eval_examples: 8}
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command as on a machine of the given name, in which only its folder is new."""
    started: list[subprocess.Popen[str]] = []

    def run(machine: str, *arguments: object) -> subprocess.Popen[str]:
        copies = tmp_path / machine
        with (tmp_path / f"stderr-{machine}").open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "sweeper", *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "SWEEPER_COPIES": str(copies)},
            )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def copy_on(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWEEPER_COPIES", str(machine))
    home = folder_of(URL)
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "mlflow.db").exists():
        shutil.copy(empty_store(), home / "mlflow.db")
    return home


def finished(process: subprocess.Popen[str], errors: Path) -> dict[str, Any]:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, errors.read_text()[-3000:]
    document: dict[str, Any] = json.loads(out)
    return document


def half_trained() -> tuple[str, int] | None:
    """The trial at the store that has a checkpoint and no end, and the checkpoint's step."""
    store = open_store(URL)
    keys = list(store.listing("night/trials"))
    records = [key for key in keys if key.endswith("record.json")]
    if len(records) < 2:
        return None
    for key in records:
        status = json.loads(store.get(key) or b"{}").get("status")
        start = key.replace("record.json", "checkpoint/step-")
        steps = [x for x in keys if x.startswith(start) and x.endswith("manifest.json")]
        if status == "running" and len(steps) == 2:
            return key.split("/")[2], max(int(x.split("step-")[1][:8]) for x in steps)
    return None


def kill_machine(driver: subprocess.Popen[str]) -> None:
    """Ends a driver and all that it has started, as a loss of power does."""
    family = [*psutil.Process(driver.pid).children(recursive=True), psutil.Process(driver.pid)]
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=20)


def undisturbed(specs: list[TrialSpec]) -> list[float]:
    """The last loss of each trial, trained in one go, one after another."""
    with tempfile.TemporaryDirectory() as place:
        losses: list[float] = scenarios.final_losses(specs, place)
    return losses


def test_a_machine_that_dies_with_its_disk_loses_what_it_had_not_trained_yet(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "tiny.yaml").write_text(PROFILE)
    space = tmp_path / "tiny.yaml"
    space.write_text(SPACE)
    copy_on(tmp_path / "first", monkeypatch)
    driver = start("first", "run", space, "--name", "night", "--json", "--home", URL)
    deadline = time.monotonic() + 200
    while (found := half_trained()) is None:
        assert driver.poll() is None, (tmp_path / "stderr-first").read_text()[-3000:]
        assert time.monotonic() < deadline, "no trial got half-way in time"
        time.sleep(0.1)
    kill_machine(driver)
    shutil.rmtree(tmp_path / "first")
    trial_id, step = found

    home = copy_on(tmp_path / "second", monkeypatch)
    resume = start("second", "resume", "night", "--json", "--home", URL)
    document = finished(resume, tmp_path / "stderr-second")
    assert [trial["status"] for trial in document["trials"]] == ["complete"] * 3
    folder = SweepFolder(home / "night")
    # The trial went on from its checkpoint: the steps before it were not trained again.
    lines = folder.trial(trial_id).metrics_path.read_text().splitlines()
    trained = [json.loads(line) for line in lines if '"train_loss"' in line]
    assert sum(line["step"] == 1 for line in trained) == 1
    assert sum(line["step"] == step for line in trained) == 1
    assert folder.trial(trial_id).read().attempts == 2

    store = open_store(URL)
    keys = set(store.listing("night"))
    assert not [key for key in keys if "/checkpoint/" in key]
    assert {f"night/trials/{x}/adapter.sha256" for x in folder._trials} <= keys
    assert {"night/optuna.db", "night/report.html", "night/mlflow.json"} <= keys
    assert json.loads(store.get("night/state.json") or b"{}")["status"] == "complete"

    trials = folder.trial_folders()
    (losses,) = scenarios.run(undisturbed, 1, [trial.trial_spec() for trial in trials])
    assert [trial.read().metrics["eval_loss"] for trial in trials] == losses
