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

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(280)]

SPACE = """
name: tiny
profile: tiny
methods:
  - {name: masa, rank: 4, experts: 2, group_size: {grid: [1, 2]}}
  - {name: lora, rank: {grid: [4, 8]}}
train: {learning_rate: {loguniform: [1e-3, 1e-2]}}
search: {trials: 4, asha: null, prefetch: 0}
"""

PROFILE = """
name: tiny
model: {kind: embedded}
data: {kind: embedded}
resources: {max_replicas: 1}
train: {steps: %d, batch_size: 4, evaluations: %d, eval_examples: 8}
"""


@pytest.fixture
def space(tmp_path: Path) -> Callable[..., Path]:
    def write(*, steps: int, evaluations: int) -> Path:
        (tmp_path / "profiles").mkdir()
        profile = PROFILE % (steps, evaluations)
        (tmp_path / "profiles" / "tiny.yaml").write_text(profile)
        path = tmp_path / "tiny.yaml"
        path.write_text(SPACE)
        return path

    return write


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
    out, _ = process.communicate(timeout=250)
    errors = "\n".join(path.read_text()[-3000:] for path in sorted(tmp_path.glob("stderr-*")))
    assert out, errors
    return process.returncode, json.loads(out)


def wait_for(condition: Callable[[], bool], *, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the sweep did not get there in time"
        time.sleep(0.05)


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


def test_kill_9_of_the_driver_then_resume(
    space: Callable[..., Path], sweeper: Any, tmp_path: Path
) -> None:
    path = space(steps=96, evaluations=8)
    home = tmp_path / "home"
    folder = home / "tiny-tiny-1"
    driver = sweeper("run", path, "--json", "--set", "search.trials=3")

    def is_in_the_second_trial() -> bool:
        assert driver.poll() is None, (tmp_path / "stderr-0").read_text()[-3000:]
        done = [record for record in records(folder) if record.status == "complete"]
        running = [record for record in records(folder) if record.status == "running"]
        return len(done) == 1 and any(record.steps >= 27 for record in running)

    wait_for(is_in_the_second_trial)
    workers = train_workers(driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    # Ray ends them because their driver is gone; nobody writes the records any more.
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    complete, interrupted = records(folder)[:2]

    code, result = finish(sweeper("resume", "tiny-tiny-1", "--json"), tmp_path)
    assert code == 0
    assert [trial["status"] for trial in result["trials"]] == ["complete"] * 3
    assert len({trial["id"] for trial in result["trials"]}) == 3
    after = {record.id: record for record in records(folder)}
    assert after[complete.id] == complete
    assert after[interrupted.id].attempts == 2
    log = (folder / "trials" / interrupted.id / "metrics.jsonl").read_text().splitlines()
    firsts = [line for line in log if json.loads(line).get("step") == 1]
    assert len(firsts) == 1, "the interrupted trial began again from zero"
    assert_logged_once(home, "tiny-tiny-1")


def test_a_trial_that_diverges_and_a_replica_that_dies_end_no_sweep(
    space: Callable[..., Path], sweeper: Any, tmp_path: Path
) -> None:
    path = space(steps=96, evaluations=8)
    home = tmp_path / "home"
    folder = home / "tiny-tiny-1"
    # Weight decay times learning rate is 100: the weights grow a hundredfold a step.
    overrides = (
        "baselines=[{method: {name: lora, rank: 4}, train: {learning_rate: 10.0}}]",
        "train.learning_rate={choice: [10.0, 3e-3]}",
        "train.weight_decay=10",
        "methods=[{name: lora, rank: {grid: [4, 8]}}]",
        "search.trials=3",
    )
    arguments = [argument for override in overrides for argument in ("--set", override)]
    driver = sweeper("run", path, "--json", *arguments)

    def is_past_a_checkpoint() -> bool:
        assert driver.poll() is None, (tmp_path / "stderr-0").read_text()[-3000:]
        return any(record.status == "running" and record.steps >= 27 for record in records(folder))

    wait_for(is_past_a_checkpoint)
    running = next(record for record in records(folder) if record.status == "running")
    workers = train_workers(driver)
    assert len(workers) == 1
    workers[0].kill()
    code, result = finish(driver, tmp_path)
    assert code == 1
    after = {record.id: record for record in records(folder)}
    assert sorted(trial["id"] for trial in result["trials"]) == sorted(after)
    # The trial of the dead replica goes on where it was.
    assert after[running.id].status == "complete"
    assert after[running.id].attempts == 2
    log = (folder / "trials" / running.id / "metrics.jsonl").read_text().splitlines()
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
