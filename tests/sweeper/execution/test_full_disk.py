"""A full disk while a trial trains: told once, and gone on from."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from sweeper.cli.commands.sweep import _leaving
from sweeper.errors import PoolLostError, UnwritableError
from sweeper.execution.pool import Job
from sweeper.execution.pool.progress import PoolReporter
from sweeper.tracking.sweep_folder import SweepFolder


def test_metrics_without_room_are_told_once_and_the_trial_goes_on(tmp_path, monkeypatch, caplog):
    sweep = SweepFolder.create(tmp_path, "one", document={})
    trial = sweep.add_trial("a" * 12, spec={}, number=0, method="lora")
    job = Job(trial_id=trial.id, number=0, folder=trial.path, evaluation_steps=(4,), spec_json="{}")
    # Steps are not told to the pool.
    pool: Any = None
    reporter = PoolReporter(pool, job, trial)
    reporter.log_step(1, {"train_loss": 3.0})

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr("sweeper.tracking.metrics_log.append_line", full)
        reporter.log_step(2, {"train_loss": 2.0})
        reporter.log_step(3, {"train_loss": 1.0})
    reporter.log_step(4, {"train_loss": 0.5})
    assert [point.step for point in trial.points()] == [1, 4]
    assert [record.getMessage() for record in caplog.records] == [
        f"metrics of trial {trial.id} are lost: [Errno 28] No space left on device"
    ]


class LeftError(Exception):
    """The process would end here."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UnwritableError(Path("s/optuna.db"), "database or disk is full"), "s/optuna.db: database"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "record.json"),
            "No space left on device",
        ),
        (TimeoutError("the pool does not answer"), ""),
    ],
)
def test_a_sweep_that_cannot_write_is_left_with_one_sentence(monkeypatch, caplog, error, words):
    said: list[str] = []

    def leave(driver: object, out: object, code: int, why: str) -> NoReturn:
        said.append(why)
        raise LeftError(code)

    monkeypatch.setattr("sweeper.cli.commands.sweep._leave", leave)
    driver: Any = None
    with pytest.raises(LeftError, match="1"), _leaving(driver, driver):
        raise error
    [why] = said
    if words:
        assert why.startswith("Stopped: the sweep's files cannot be written (")
        assert words in why
        assert why.endswith("Make room for them, or make them writable.")
    else:
        assert why == "Stopped."
    assert bool(caplog.records) == (not words)


def test_a_sweep_whose_pool_has_died_is_left_with_one_sentence(monkeypatch, caplog):
    said: list[str] = []

    def leave(driver: object, out: object, code: int, why: str) -> NoReturn:
        said.append(why)
        raise LeftError(code)

    monkeypatch.setattr("sweeper.cli.commands.sweep._leave", leave)
    driver: Any = None
    with pytest.raises(LeftError, match="1"), _leaving(driver, driver):
        raise PoolLostError("the pool has died")
    assert said == ["Stopped: the pool has died."]
    assert not caplog.records
