"""A sweep that an earlier version of the program began is reported and resumed by this one.

``recorded-sweep.tar.gz`` is the folder of a sweep of four trials, written by the commit 17894a4 and
killed (``kill -9``) while the third trial trained: two trials are complete, one has a checkpoint at
step 10 of 40, the fourth has not begun. Left out are what a resume does not read: Ray's own files,
locks, and the checkpoints of the complete trials.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.analysis import score_table
from sweeper.errors import BadInputError
from sweeper.tracking import SweepFolder
from tests.sweeper.stores import empty_store

ARCHIVE = Path(__file__).with_name("recorded-sweep.tar.gz")
COMPLETE = ("59dba79d6177", "5b4be785c1a6")
INTERRUPTED = "83f50e68e1f7"


@pytest.fixture
def recorded(tmp_path: Path) -> SweepFolder:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    shutil.copy(empty_store(), tmp_path / "mlflow.db")
    return SweepFolder.open("recorded-1", home=tmp_path)


def sweeper(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "sweeper", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def training_times(folder: SweepFolder) -> dict[int, float]:
    """When each step of the interrupted trial was trained."""
    points = folder.trial(INTERRUPTED).points()
    return {point.step: point.unix_time_s for point in points if "train_loss" in point.metrics}


def take_back(folder: SweepFolder, trial_id: str) -> None:
    """Leaves a study as it is where the driver dies after a trial's record ends."""
    with closing(sqlite3.connect(folder.path / "optuna.db")) as study:
        found = study.execute(
            "SELECT trial_id FROM trial_user_attributes WHERE value_json = ?", [f'"{trial_id}"']
        )
        [number] = found.fetchone()
        study.execute("DELETE FROM trial_values WHERE trial_id = ?", [number])
        study.execute("UPDATE trials SET state = 'RUNNING' WHERE trial_id = ?", [number])
        study.commit()


def test_it_is_reported(recorded: SweepFolder) -> None:
    document = sweeper("report", "recorded-1", "--home", recorded.home)
    by_id = {trial["id"]: trial for trial in document["trials"]}
    assert [by_id[name]["status"] for name in COMPLETE] == ["complete", "complete"]
    assert by_id[INTERRUPTED]["status"] == "running"
    assert by_id[INTERRUPTED]["steps"] >= 10
    losses = {name: by_id[name]["metrics"]["eval_loss"] for name in COMPLETE}
    assert document["best"]["id"] == min(losses, key=losses.__getitem__)
    assert document["base"]["eval_loss"] > max(losses.values())


def test_without_rows_nothing_is_said_of_its_configurations(recorded: SweepFolder) -> None:
    with pytest.raises(
        BadInputError, match=r"no .* was kept of 2 trials; earlier versions kept none"
    ):
        score_table(recorded, "eval_loss", "validation")


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(280)
def test_it_is_resumed(recorded: SweepFolder) -> None:
    before = {name: recorded.trial(name).read() for name in (*COMPLETE, INTERRUPTED)}
    trained = training_times(recorded)
    # A trial that has ended on disk is told from there, whatever the study has of it.
    take_back(recorded, COMPLETE[1])
    document = sweeper("resume", "recorded-1", "--home", recorded.home)
    assert [trial["status"] for trial in document["trials"]] == ["complete"] * 4
    for name in COMPLETE:
        assert SweepFolder(recorded.path).trial(name).read() == before[name]
    # It goes on from its checkpoint, under the identity that it had.
    folder = SweepFolder(recorded.path).trial(INTERRUPTED)
    assert folder.read().attempts == before[INTERRUPTED].attempts + 1
    assert [step for step, _ in folder.evaluations("eval_loss")] == [10, 20, 30, 40]
    # Steps up to the checkpoint were not trained again, those after it were.
    again = training_times(SweepFolder(recorded.path))
    assert [step for step in trained if again[step] == trained[step]] == list(range(1, 11))
    assert document["base_final"] is not None
