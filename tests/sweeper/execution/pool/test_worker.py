"""What a worker tells of a trial under which another worker went, or that is another replica's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import ray

from sweeper.errors import AttemptLostError
from sweeper.evaluation.racing import Contest, RaceTerms
from sweeper.execution.pool import Job, worker
from sweeper.execution.pool.progress import PoolReporter
from sweeper.execution.pool.worker import ReplicaWorker
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from tests.sweeper import tiny

Training = Callable[[PoolReporter], None]


class Pool:
    """Takes the ends of trials; everybody else is asked to wait for nothing."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str]] = []
        self.done = SimpleNamespace(remote=self._done)
        self.status = SimpleNamespace(remote=dict)

    def _done(self, trial_id: str, status: str, **_: object) -> None:
        self.ended.append((trial_id, status))


@pytest.fixture
def folder(tmp_path: Path) -> TrialFolder:
    sweep = SweepFolder.create(tmp_path, "one", document={})
    return sweep.add_trial("a" * 12, spec={}, number=0, method="lora")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> ReplicaWorker:
    """A worker that has others, which do not come to a meeting."""
    made = ReplicaWorker.__new__(ReplicaWorker)
    pool: Any = Pool()
    made._pool, made._rank, made._control = pool, 1, None
    monkeypatch.setattr(worker, "is_meeting", lambda _: False)
    monkeypatch.setattr(ray, "get", lambda value: value)
    return made


def peers(*, is_one_lost: bool) -> Any:
    return SimpleNamespace(nodes=lambda: ["a", "b"], is_one_lost=lambda: is_one_lost)


def train_as(
    training: Training, made: ReplicaWorker, folder: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object, progress: PoolReporter, **__: object) -> NoReturn:
        training(progress)
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr("sweeper.training.trial.train", train)
    job = Job(
        trial_id=folder.id,
        number=0,
        folder=folder.path,
        evaluation_steps=(4,),
        spec_json=tiny.trial().model_dump_json(),
    )
    base: Any = None
    made._train(job, base)


def test_a_trial_is_not_failed_for_a_worker_that_is_lost(
    made: ReplicaWorker, folder: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made._peers = peers(is_one_lost=True)
    with pytest.raises(RuntimeError, match="a worker of the replica is lost; restarting all"):
        train_as(lambda _: None, made, folder, monkeypatch)
    record = folder.read()
    assert (record.status, record.error, record.nodes) == ("running", None, ["a", "b"])
    pool: Any = made._pool
    assert pool.ended == []


def test_a_trial_is_failed_by_the_one_worker_that_knows_why(
    made: ReplicaWorker, folder: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made._peers = peers(is_one_lost=False)
    with pytest.raises(RuntimeError, match="one worker of the replica failed alone"):
        train_as(lambda _: None, made, folder, monkeypatch)
    assert folder.read().status == "failed"
    pool: Any = made._pool
    assert pool.ended == [(folder.id, "failed")]


def test_a_replica_left_behind_writes_nothing_more_of_a_trial_that_was_begun_again(
    made: ReplicaWorker, folder: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made._peers = peers(is_one_lost=False)
    other = TrialFolder(folder.path)

    def training(progress: PoolReporter) -> None:
        progress.log_step(1, {"train_loss": 3.0})
        other.begin(nodes=["c"])
        progress.log_step(2, {"train_loss": 2.0})

    with pytest.raises(AttemptLostError, match="has been begun again elsewhere"):
        train_as(training, made, folder, monkeypatch)
    record = other.read()
    assert (record.status, record.attempts, record.nodes) == ("running", 2, ["c"])
    assert [point.step for point in other.points()] == [1]
    pool: Any = made._pool
    assert pool.ended == []


def test_what_was_left_behind_is_taken_back_by_the_next_attempt(
    made: ReplicaWorker, folder: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made._peers = peers(is_one_lost=True)
    other = TrialFolder(folder.path)
    other.append(12, {"train_loss": 3.0})

    def training(progress: PoolReporter) -> None:
        # Written between the begin of this attempt and its first step.
        other.append(13, {"train_loss": 9.0})
        progress.log_step(13, {"train_loss": 2.0})

    with pytest.raises(RuntimeError, match="restarting all"):
        train_as(training, made, folder, monkeypatch)
    points = [(point.step, point.metrics["train_loss"]) for point in folder.points()]
    assert points == [(12, 3.0), (13, 2.0)]


def test_the_end_of_a_trial_that_lost_its_race_is_written_and_told_without_a_score(
    made: ReplicaWorker, folder: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    contests: list[Contest] = []
    facts = {"racing_rows": 48.0, "racing_rows_in_all": 256.0}
    numbers = dict.fromkeys(
        ("examples", "prompts_cut", "answers_cut", "attempt_train_time_s", "evaluation_time_s"), 1
    )

    def train(*_: object, contest: Contest, **__: object) -> object:
        contests.append(contest)
        return SimpleNamespace(
            status="pruned",
            ended_by="race with best",
            steps=4,
            metrics={},
            race_facts=facts,
            checkpoint_time_s=0.0,
            overhead_time_s=0.0,
            **numbers,
        )

    monkeypatch.setattr("sweeper.training.trial.train", train)
    made._rank, made._peers = 0, peers(is_one_lost=False)
    config: Any = SimpleNamespace(sweep_folder=folder.path.parent.parent)
    made._config = config
    terms = RaceTerms(level=1e-3, first_rows=20, seed=3, grace=2)
    job = Job(folder.id, 0, folder.path, (4, 8), tiny.trial().model_dump_json(), racing=terms)
    base: Any = None
    made._train(job, base)
    record = folder.read()
    assert (record.status, record.ended_by, record.steps) == ("pruned", "race with best", 4)
    assert record.metrics.items() >= facts.items()
    assert "eval_loss" not in record.metrics
    pool: Any = made._pool
    assert pool.ended == [(folder.id, "pruned")]
    (contest,) = contests
    assert (contest.trial_id, contest.terms) == (folder.id, terms)
