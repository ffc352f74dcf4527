"""Whole sweeps through the command line: Ray, Optuna, ASHA, DeepSpeed, records, MLflow."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.stores import empty_store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

SPACE = """
name: tiny
profile: tiny
methods:
  - {name: lora, rank: 4}
# With the first rate, weight decay times learning rate is 100: weights grow a hundredfold a step.
train: {learning_rate: {grid: [10.0, 3e-3, 2e-3]}, weight_decay: 10}
search: {trials: 3, asha: null, prefetch: 0}
"""

PROFILE = """
name: tiny
model: {kind: embedded}
data: {kind: embedded}
resources: {max_replicas: 1}
train: {steps: 96, batch_size: 4, evaluations: 8, eval_examples: 8}
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "tiny.yaml").write_text(PROFILE)
    path = tmp_path / "tiny.yaml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def sweeper(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "home").mkdir()
    shutil.copy(empty_store(), tmp_path / "home" / "mlflow.db")

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "sweeper",
            *map(str, arguments),
            "--home",
            str(tmp_path / "home"),
        ]
        with (tmp_path / f"stderr-{len(started)}").open("w") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def finish(process: subprocess.Popen[str], tmp_path: Path) -> tuple[int, Any]:
    out, _ = process.communicate(timeout=400)
    errors = "\n".join(path.read_text()[-3000:] for path in sorted(tmp_path.glob("stderr-*")))
    assert out, errors
    return process.returncode, json.loads(out)


def wait_for(find: Callable[[], TrialRecord | None], *, timeout_s: float = 240) -> TrialRecord:
    deadline = time.monotonic() + timeout_s
    while (found := find()) is None:
        assert time.monotonic() < deadline, "the sweep did not get there in time"
        time.sleep(0.05)
    return found


def records(home: Path) -> list[TrialRecord]:
    return SweepFolder(home).trials() if home.exists() else []


def train_workers(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process(driver.pid).children(recursive=True)
        if "RayTrainWorker" in " ".join(process.cmdline())
    ]


def mlflow_runs(home: Path) -> list[Any]:
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiments = [e.experiment_id for e in client.search_experiments()]
    return list(client.search_runs(experiments, max_results=1000))


def assert_logged_once(home: Path, sweep: str) -> None:
    """One parent, one child a trial, no step of a metric twice, all that was recorded."""
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    runs = mlflow_runs(home)
    trials = records(home / sweep)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    children = Counter(run.data.tags["trial"] for run in runs if run not in parents)
    assert children == {trial.id: 1 for trial in trials}
    folder = SweepFolder(home / sweep)
    for run in runs:
        if run in parents:
            continue
        points = folder.trial(run.data.tags["trial"]).points()
        recorded = sorted(point.step for point in points if "train_loss" in point.metrics)
        history = client.get_metric_history(run.info.run_id, "train_loss")
        assert sorted(metric.step for metric in history) == recorded
        assert len(set(recorded)) == len(recorded)


def test_a_replica_that_dies_a_driver_that_is_killed_and_a_trial_that_diverges_lose_nothing(
    space: Path, sweeper: Any, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    folder = home / "tiny-tiny-1"
    driver = sweeper("run", space, "--json")

    def past_a_checkpoint(complete: int) -> TrialRecord | None:
        assert driver.poll() is None, (tmp_path / "stderr-0").read_text()[-3000:]
        found = records(folder)
        if sum(record.status == "complete" for record in found) < complete:
            return None
        running = (record for record in found if record.status == "running" and record.steps >= 27)
        return next(running, None)

    first = wait_for(lambda: past_a_checkpoint(complete=0))
    [worker] = train_workers(driver)
    worker.kill()
    second = wait_for(lambda: past_a_checkpoint(complete=1))
    workers = train_workers(driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    # Ray ends them because their driver is gone; nobody writes the records any more.
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    before = {record.id: record for record in records(folder)}
    assert before[first.id].status == "complete"

    code, result = finish(sweeper("resume", "tiny-tiny-1", "--json"), tmp_path)
    assert code == 1
    after = {record.id: record for record in records(folder)}
    assert sorted(trial["id"] for trial in result["trials"]) == sorted(after)
    assert Counter(record.status for record in after.values()) == {"complete": 2, "failed": 1}
    # What had ended is as it was, NaN of the diverged trial included.
    ended = [name for name, record in before.items() if record.status != "running"]
    assert len(ended) == 2
    for name in ended:
        assert after[name].model_dump_json() == before[name].model_dump_json()
    # What was interrupted, either way, went on where it was.
    for trial in (first, second):
        assert after[trial.id].status == "complete"
        assert after[trial.id].attempts == 2
        log = (folder / "trials" / trial.id / "metrics.jsonl").read_text().splitlines()
        assert sum(json.loads(line).get("step") == 1 for line in log) == 1
    # The other says what to do.
    failed = next(record for record in after.values() if record.status == "failed")
    assert failed.error is not None
    assert failed.error.type == "DivergedError"
    assert "lower the learning rate" in failed.error.message
    assert_logged_once(home, "tiny-tiny-1")
    # The report says the same again, and the UI's store is where the run says.
    code, report = finish(sweeper("report", "tiny-tiny-1", "--json"), tmp_path)
    assert code == 0
    assert report == result
