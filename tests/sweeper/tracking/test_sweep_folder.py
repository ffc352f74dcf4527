"""Records on disk: written by one process, read by others, whole after any crash."""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import subprocess
import sys

import pytest

from sweeper._files import FileLock
from sweeper.errors import BadInputError
from sweeper.tracking.metrics_log import MetricSummary, Rewind
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in
from sweeper.tracking.trial_folder import TrialFolder

START_S = 1_700_000_000.0


class Clock:
    """Unix time that only moves when a test says so."""

    def __init__(self):
        self.now_s = START_S

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sweep(tmp_path, clock):
    document = {"name": "masa", "objective": {"metric": "eval_loss", "mode": "min"}}
    return SweepFolder.create(tmp_path / "sweeps", "masa-1", document=document, clock=clock)


def add(sweep: SweepFolder, trial_id: str = "aaaaaaaaaaaa", number: int = 0) -> TrialFolder:
    return sweep.add_trial(
        trial_id,
        spec={"method": {"name": "masa", "rank": 8}, "train": {"learning_rate": 1e-3}},
        number=number,
        method="masa",
        origin="baseline",
        params={"method.rank": 8, "train.learning_rate": 1e-3},
        steps_total=10,
    )


# Sweeps.


def test_create_keeps_what_was_asked_for_and_by_which_code(sweep):
    about = json.loads((sweep.path / "sweep.json").read_text())
    assert about["name"] == "masa-1"
    assert about["document"] == sweep.document == SweepFolder(sweep.path).document
    assert about["created_at"] == "2023-11-14T22:13:20+00:00"
    assert about["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "pydantic" not in about["versions"]
    assert len(about["sweep_id"]) == 32
    assert sweep.home == sweep.path.parent
    assert sweep.trials() == []


def test_a_missing_git_is_no_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert SweepFolder.create(tmp_path, "one", document={}).about().git is None


def test_a_taken_name_is_refused_and_the_way_on_is_named(sweep):
    with pytest.raises(BadInputError, match=r"'masa-1' is taken in .*; continue it with 'resume"):
        SweepFolder.create(sweep.home, "masa-1", document={})


def test_a_creation_that_crashed_half_way_can_be_repeated(tmp_path):
    (tmp_path / "half" / "trials").mkdir(parents=True)
    assert SweepFolder.create(tmp_path, "half", document={}).name == "half"


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "../x"])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path, name):
    with pytest.raises(BadInputError, match="allowed are letters, digits"):
        SweepFolder.create(tmp_path, name, document={})


def test_open_takes_a_name_or_a_folder(sweep):
    by_name = SweepFolder.open("masa-1", home=sweep.home)
    by_path = SweepFolder.open(sweep.path, home=sweep.home / "elsewhere")
    assert by_name.path == by_path.path == sweep.path


def test_open_names_the_nearest_sweeps(sweep):
    SweepFolder.create(sweep.home, "ablation", document={})
    with pytest.raises(BadInputError, match=r"got 'masa-2'; .* did you mean 'masa-1'\?"):
        SweepFolder.open("masa-2", home=sweep.home)
    with pytest.raises(BadInputError, match="give one of them"):
        SweepFolder.open("zzz", home=sweep.home)


def test_open_without_any_sweep_says_how_to_start_one(tmp_path):
    with pytest.raises(BadInputError, match="holds no sweep; start one with 'run "):
        SweepFolder.open("masa", home=tmp_path / "nowhere")


def test_sweeps_are_listed_newest_last(tmp_path):
    for age, name in enumerate(["c", "a", "b"]):
        folder = SweepFolder.create(tmp_path, name, document={})
        os.utime(folder.path / "sweep.json", (START_S + age, START_S + age))
    (tmp_path / "mlartifacts").mkdir()
    assert [path.name for path in sweeps_in(tmp_path)] == ["c", "a", "b"]


def test_the_status_of_a_sweep_is_running_until_it_is_marked(sweep):
    assert sweep.status == "running"
    sweep.mark("stopped")
    assert SweepFolder(sweep.path).status == "stopped"


def test_the_scores_of_the_frozen_base_are_kept(sweep):
    assert sweep.base_scores() == {}
    sweep.note_base({"eval_loss": 2.5, "accuracy": math.nan})
    metrics = SweepFolder(sweep.path).base_scores()
    assert metrics["eval_loss"] == 2.5
    assert math.isnan(metrics["accuracy"])


def test_folders_travel_by_their_path(sweep):
    trial = add(sweep)
    assert pickle.loads(pickle.dumps(sweep)).path == sweep.path
    assert pickle.loads(pickle.dumps(trial)).read() == trial.read()


# The lock of the driver.


def test_one_driver_runs_a_sweep(sweep):
    with sweep.lock():
        other = SweepFolder(sweep.path)
        with pytest.raises(BadInputError, match=rf"run by process {os.getpid()} on .*; wait"):
            other.lock().__enter__()
    with SweepFolder(sweep.path).lock():
        pass


def test_the_lock_of_a_killed_driver_is_free(sweep):
    code = (
        "import sys, time; from sweeper.tracking.sweep_folder import SweepFolder\n"
        "with SweepFolder(sys.argv[1]).lock():\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(sweep.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "held\n"
        lock = FileLock(sweep.path / "driver.lock")
        assert not lock.acquire()
        assert lock.owner().startswith(f"process {driver.pid} on ")
        driver.send_signal(signal.SIGKILL)
    with sweep.lock():
        pass


# Trials.


def test_a_new_trial_is_queued(sweep):
    record = add(sweep).read()
    assert record == TrialRecord(
        id="aaaaaaaaaaaa",
        number=0,
        method="masa",
        origin="baseline",
        params={"method.rank": 8, "train.learning_rate": 1e-3},
        steps_total=10,
    )
    assert record.status == "queued"
    assert not record.is_final
    assert sweep.trial(record.id).spec()["method"] == {"name": "masa", "rank": 8}


def test_adding_a_trial_again_changes_nothing(sweep):
    add(sweep).begin()
    again = add(sweep, number=5)
    assert (again.read().number, again.read().status) == (0, "running")


def test_trials_come_by_number(sweep):
    for number, trial_id in enumerate(["c" * 12, "a" * 12, "b" * 12]):
        add(sweep, trial_id, number)
    (sweep.path / "trials" / "half-made").mkdir()
    assert [record.id[0] for record in sweep.trials()] == ["c", "a", "b"]


def test_the_life_of_a_trial(sweep, clock):
    trial = add(sweep)
    clock.now_s += 5
    trial.begin(trainable=10, total=1000)
    for step, loss in [(1, 3.0), (2, 1.0), (3, 2.0)]:
        clock.now_s += 1
        trial.append(step, {"loss": loss})
    running = TrialFolder(trial.path).read()
    assert (running.status, running.steps, running.metrics) == ("running", 3, {"loss": 2.0})
    assert (running.lowest, running.highest) == ({"loss": 1.0}, {"loss": 3.0})
    assert running.wall_time_s == pytest.approx(3)
    clock.now_s += 1
    record = trial.complete(train_time_s=3)
    assert record == trial.read() == TrialFolder(trial.path).read()
    assert (record.status, record.attempts, record.percent) == ("complete", 1, 1.0)
    assert record.wall_time_s == pytest.approx(4)
    assert (record.train_time_s, record.overhead_s) == pytest.approx((3, 1))
    assert record.started_at is not None
    assert record.ended_at is not None
    assert (record.ended_at - record.started_at).total_seconds() == pytest.approx(4)


def test_a_failure_is_kept_and_the_first_word_counts(sweep):
    trial = add(sweep)
    trial.begin()
    trial.fail("DivergedError", "the loss is NaN", traceback="Traceback …", train_time_s=0.5)
    trial.complete()
    record = TrialFolder(trial.path).read()
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.model_dump() == {
        "type": "DivergedError",
        "message": "the loss is NaN",
        "traceback": "Traceback …",
    }


def test_a_retry_counts_both_attempts_and_forgets_the_failure_when_it_ends_well(sweep, clock):
    trial = add(sweep)
    trial.begin(trainable=7)
    clock.now_s += 2
    trial.fail("OutOfMemory", "…", train_time_s=1)
    trial.requeue()
    assert trial.read().status == "queued"
    clock.now_s += 100
    trial.begin()
    clock.now_s += 3
    record = trial.complete(train_time_s=3)
    assert (record.attempts, record.error, record.trainable) == (2, None, 7)
    assert record.wall_time_s == pytest.approx(5)
    assert (record.train_time_s, record.overhead_s) == pytest.approx((4, 1))


def test_the_machines_are_those_of_the_last_attempt(sweep):
    trial = add(sweep)
    assert trial.read().nodes == []
    trial.begin(nodes=["one", "two"])
    trial.requeue()
    assert trial.read().nodes == ["one", "two"]
    trial.begin(nodes=["three"])
    assert trial.complete().nodes == ["three"]


def test_an_attempt_that_was_killed_counts_up_to_its_last_report(sweep, clock):
    trial = add(sweep)
    trial.begin()
    clock.now_s += 4
    trial.append(1, {"loss": 1.0})
    clock.now_s += 1000
    resumed = SweepFolder(sweep.path, clock=clock)
    assert [record.status for record in resumed.requeue_interrupted()] == ["queued"]
    assert resumed.trial(trial.id).read().wall_time_s == pytest.approx(4)
    again = resumed.trial(trial.id)
    again.begin()
    clock.now_s += 2
    again.append(2, {"loss": 1.0})
    assert again.complete().wall_time_s == pytest.approx(6)


@pytest.mark.parametrize("reports", [0, 2])
def test_a_trial_that_another_process_ends_took_its_time_in_workers_alone(sweep, clock, reports):
    trial = add(sweep)
    trial.begin()
    for step in range(1, reports + 1):
        clock.now_s += 2
        trial.append(step, {"train_loss": 1.0, "step_time_s": 1.5})
    clock.now_s += 1000
    record = TrialFolder(trial.path, clock=clock).prune()
    times = (record.wall_time_s, record.train_time_s, record.overhead_s)
    assert times == pytest.approx((2 * reports, 1.5 * reports, 0.5 * reports))
    started, ended = record.started_at, record.ended_at
    assert started is not None
    assert ended is not None
    assert (ended - started).total_seconds() == pytest.approx(2 * reports)


def test_the_steps_of_a_killed_attempt_count_where_the_trial_is_resumed(sweep, clock):
    trial = add(sweep)
    trial.begin()
    clock.now_s += 2
    trial.append(1, {"train_loss": 1.0, "step_time_s": 1.5})
    clock.now_s += 1000
    again = TrialFolder(trial.path, clock=clock)
    again.begin()
    clock.now_s += 3
    record = again.prune(train_time_s=1.0)
    times = (record.wall_time_s, record.train_time_s, record.overhead_s)
    assert times == pytest.approx((5, 2.5, 2.5))


def test_only_interrupted_trials_are_put_back(sweep):
    states = {"a": TrialFolder.complete, "b": TrialFolder.prune, "d": None}
    for number, (letter, end) in enumerate(states.items()):
        trial = add(sweep, letter * 12, number)
        trial.begin()
        if end is not None:
            end(trial)
    add(sweep, "e" * 12, 3)
    assert [record.id[0] for record in sweep.requeue_interrupted()] == ["d"]
    statuses = [record.status for record in sweep.trials()]
    assert statuses == ["complete", "pruned", "queued", "queued"]


def test_a_trial_that_begins_without_an_end_of_the_last_attempt_counts_it(sweep, clock):
    trial = add(sweep)
    trial.begin()
    clock.now_s += 2
    trial.append(1, {"loss": 1.0})
    clock.now_s += 50
    trial.begin()
    clock.now_s += 1
    record = trial.complete()
    assert (record.attempts, record.wall_time_s) == pytest.approx((2, 3))


def test_a_trial_that_never_began_can_fail(sweep, clock):
    clock.now_s += 9
    record = add(sweep).fail("ReplicaLost", "no replica is left")
    assert (record.status, record.wall_time_s, record.attempts) == ("failed", 0, 0)


def test_a_record_is_read_again_when_it_changes(sweep):
    trial = add(sweep)
    trial.begin()
    trial.append(1, {"loss": 1.0})
    trial.complete()
    reader = SweepFolder(sweep.path)
    assert reader.trials()[0].status == "complete"
    trial.requeue()
    trial.begin()
    trial.append(2, {"loss": 0.5})
    record = reader.trials()[0]
    assert (record.status, record.steps, record.lowest) == ("running", 2, {"loss": 0.5})


def test_a_record_of_a_newer_version_can_be_read(sweep):
    trial = add(sweep)
    trial.begin()
    path = trial.path / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "new_field": 1}))
    assert trial.read().status == "running"


def test_not_a_number_survives_in_strict_json(sweep):
    trial = add(sweep)
    trial.begin()
    trial.append(1, {"loss": 2.0})
    trial.append(2, {"loss": math.nan, "norm": math.inf})
    trial.fail("DivergedError", "loss is NaN")
    for name in ("record.json", "metrics.jsonl"):
        for line in (trial.path / name).read_text().split("\n{"):
            assert "NaN" not in line.replace('"NaN"', "").replace("is NaN", "")
    record = TrialFolder(trial.path).read()
    assert math.isnan(record.metrics["loss"])
    assert record.metrics["norm"] == math.inf
    assert record.lowest["loss"] == record.highest["loss"] == 2.0


def test_evaluations_are_the_steps_with_that_metric_once_each(sweep):
    trial = add(sweep)
    for step in range(1, 5):
        trial.append(step, {"loss": 1.0})
        if step % 2 == 0:
            trial.append(step, {"eval_loss": float(step)})
    # A replica that was thought dead reports the last step a second time.
    trial.append(4, {"eval_loss": 4.5})
    assert trial.evaluations("eval_loss") == [(2, {"eval_loss": 2.0}), (4, {"eval_loss": 4.5})]
    assert trial.evaluations("accuracy") == []


@pytest.mark.parametrize("end", ["complete", "prune"])
def test_the_last_evaluation_of_a_complete_trial_is_in_its_record_too(sweep, end):
    trial = add(sweep)
    for step in (2, 4):
        trial.append(step, {"eval_loss": float(step)})
    getattr(trial, end)()
    lines = trial.metrics_path.read_text().splitlines()
    trial.metrics_path.write_text(f"{lines[0]}\n{lines[1][:9]}")
    found = [(step, metrics["eval_loss"]) for step, metrics in trial.evaluations("eval_loss")]
    assert found == ([(2, 2.0), (4, 4.0)] if end == "complete" else [(2, 2.0)])


def test_summary_of_nothing():
    summary = MetricSummary()
    summary.add(Rewind(3))
    assert (summary.steps, summary.last) == (0, {})


# Files.


def test_importing_the_records_is_cheap():
    heavy = {"torch", "mlflow", "ray", "transformers", "peft", "datasets", "deepspeed", "rich"}
    code = (
        "import sys; import sweeper.tracking.mlflow_view, sweeper.analysis.ranking\n"
        f"print(sorted(set(sys.modules) & {heavy!r}))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
