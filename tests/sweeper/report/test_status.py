"""What the owner of a sweep sees of it, from any shell, while it runs and after."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweeper.analysis.ranking import ranking_of
from sweeper.cli import app
from sweeper.report.status import status_document
from sweeper.tracking.owner import DriverWord, note_life
from sweeper.tracking.owner.requests import ask_stop
from sweeper.tracking.stored import TakenFrom
from sweeper.tracking.sweep_folder import SweepFolder

NAME = "a-sweep-with-a-long-name-1"


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = datetime.now(UTC).timestamp() - 4000

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    clock = Clock()
    document = {
        "objective": {"metric": "eval_loss", "mode": "min"},
        "search": {"trials": 10},
        "resources": {"workers": 2, "gpus_per_worker": 1, "price_per_hour": 2},
    }
    folder = SweepFolder.create(tmp_path, NAME, document=document, clock=clock)
    folder.mark("running")
    for number in range(6):
        trial = folder.add_trial(
            f"{number:012x}", spec={}, number=number, method="lora", steps_total=8
        )
        trial.begin()
        clock.now_s += 300 + 60 * number
        trial.append(4, {"train_loss": 3.0, "eval_loss": 2.0})
        if number < 4:
            trial.complete()
        elif number == 4:
            trial.fail("DivergedError", "the training loss is NaN at step 5; lower the rate\nmore")
    return folder


def word(**changes: Any) -> DriverWord:
    now = datetime.now(UTC)
    counts = {"replicas": 3, "ready": 2, "restarting": 1, "lost": 1, "restarts": 4}
    facts = {"id": "d" * 12, "host": "node-7", "pid": 71, "started_at": now, "said_at": now}
    return DriverWord.model_validate(facts | counts | changes)


def told(sweep: SweepFolder) -> str:
    arguments = ["status", NAME, "--home", str(sweep.home)]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_sweep_that_runs_on_another_machine_tells_all_of_it(sweep: SweepFolder) -> None:
    note_life(sweep.path, word(stage="4 replica restarts"))
    ask_stop(sweep.path, driver="d" * 12, trial="0" * 11 + "5")
    text = told(sweep)
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert "running, " in flat
    assert "5 of 10: 4 complete, 1 running, 1 failed" in flat
    assert "failed trial 4: DivergedError: the training loss is NaN at step 5" in flat
    assert "forecast trials end in about " in flat
    assert "in nine of ten cases), from 5 trials that ended, on 2 replicas" in flat
    # 2 workers, 300 to 600 s a trial, at 2 an hour.
    assert "cost so far 3.00 for 1.5 GPU hours: 45 min 00 s in all trials" in flat
    assert "driver process 71 on node-7; 4 replica restarts" in flat
    assert "replicas 1 of 3 alive, 1 restarting, 1 lost, 4 restarts so far" in flat
    assert "last sign " in flat
    assert "asked to stop 000000000005, by " in flat


def test_a_driver_that_has_fallen_silent_has_no_forecast(sweep: SweepFolder) -> None:
    said = datetime(2020, 1, 1, tzinfo=UTC)
    note_life(sweep.path, word(said_at=said))
    found = status_document(sweep, ranking_of(sweep))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["status"], found["driver"]) == ("interrupted", None)
    assert (found["forecast"], found["replicas"], found["asked"]) == (None, None, [])
    # A trial has written since.
    assert datetime.fromisoformat(found["last_sign_at"]) > said


def test_after_its_end_it_says_what_it_was(sweep: SweepFolder) -> None:
    sweep.trial("0" * 11 + "5").stop()
    sweep.mark("complete")
    note_life(sweep.path, word(ended_at=datetime.now(UTC), host=socket.gethostname()))
    flat = " ".join(told(sweep).split())
    assert "complete, " in flat
    assert "4 complete, 1 stopped, 1 failed" in flat
    assert "forecast" not in flat
    assert "last sign" not in flat
    assert "cost so far 3.00 for 1.5 GPU hours" in flat


def test_what_another_sweep_trained_costs_nothing_here(sweep: SweepFolder) -> None:
    trial = sweep.trial("0" * 12)
    source = TakenFrom(sweep="x", sweep_id="0" * 32, number=0, taken_at=datetime.now(UTC))
    (trial.path / "taken_from.json").write_text(source.model_dump_json())
    found = status_document(sweep, ranking_of(sweep))
    assert found["cost"]["worker_hours"] == pytest.approx(2 * (2700 - 300) / 3600)


def test_the_first_failures_are_shown_and_the_rest_counted(sweep: SweepFolder) -> None:
    for number in range(20, 25):
        trial = sweep.add_trial(f"{number:012x}", spec={}, number=number, method="lora")
        trial.fail("OSError", "no room " * 100)
    text = told(sweep)
    assert max(len(line) for line in text.splitlines() if "Continue with" not in line) <= 80
    assert "and 3 more trials; 'report' has all" in " ".join(text.split())
    assert len(status_document(sweep, ranking_of(sweep))["failures"]) == 6
