"""Nothing that goes wrong with MLflow stops a sweep or is lost."""

from __future__ import annotations

import logging
import resource
import subprocess
import sys
import threading
import time

import pytest

from sweeper.tracking.mlflow_view import MlflowView
from sweeper.tracking.mlflow_view.store import connect
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.tracking.mlflow_view.fakes import (
    Faulty,
    add,
    artifacts,
    assert_complete,
    runs_of,
    save_adapter,
    through,
    train,
)

# Faults.


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "method",
    [
        "get_experiment_by_name",
        "create_experiment",
        "search_runs",
        "create_run",
        "log_batch",
        "set_terminated",
        "log_artifact",
        "log_artifacts",
    ],
)
def test_a_fault_stops_nothing_and_is_made_good(sweep, client, caplog, method, when):
    trial = add(sweep)
    trial.begin()
    train(trial)
    save_adapter(trial)
    trial.complete()
    sweep.mark("complete")
    faulty = Faulty(client)
    faulty.faults = {method: when}
    view = MlflowView(sweep, connect=through(lambda client: faulty))
    with caplog.at_level(logging.INFO, logger="sweeper.tracking.mlflow_view"):
        results = [view.sync() for _ in range(3)]
        assert method in results[0].errors[0]
        faulty.faults = {}
        assert view.sync().is_complete
    messages = [record.message for record in caplog.records]
    assert len(messages) == 2
    assert "could not be updated" in messages[0]
    assert "up to date again" in messages[1]
    runs = runs_of(client, sweep)
    assert len(runs) == 2
    assert [runs[key].info.status for key in runs] == ["FINISHED", "FINISHED"]
    assert_complete(client, runs[trial.id])
    assert artifacts(client, runs[trial.id]) == ["adapter", "spec.json"]


def test_a_store_without_room_is_told_in_a_sentence(sweep, client, caplog, capfd):
    trial = add(sweep)
    trial.begin()
    train(trial)
    trial.complete()
    # No file may grow beyond this, as on a full disk; what a transaction needs is larger.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    view = MlflowView(sweep)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        assert not view.sync().is_complete
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "could not be updated" in caplog.text
    said = capfd.readouterr()
    assert "Traceback" not in said.out + said.err
    assert view.sync().is_complete
    assert_complete(client, runs_of(client, sweep)[trial.id])


def test_what_one_process_could_not_send_the_next_one_does(sweep, client):
    trial = add(sweep)
    trial.begin()
    train(trial)
    trial.complete()

    def down(uri):
        raise ConnectionError("no route to host")

    assert not MlflowView(sweep, connect=down).sync().is_complete
    assert trial.read().status == "complete"
    assert MlflowView(SweepFolder(sweep.path)).sync().is_complete
    assert_complete(client, runs_of(client, sweep)[trial.id])


def test_one_bad_trial_does_not_keep_back_the_others(sweep, client):
    trials = [add(sweep, number) for number in range(3)]
    for trial in trials:
        trial.begin()
        train(trial)
        trial.complete()
    path = trials[1].path / "record.json"
    good = path.read_text()
    path.write_text('{"torn')
    view = MlflowView(sweep)
    result = view.sync()
    assert [error.split(":")[0] for error in result.errors] == [f"trial {trials[1].id}"]
    path.write_text(good)
    assert view.sync().is_complete
    for trial in trials:
        assert_complete(client, runs_of(client, sweep)[trial.id])


def test_an_experiment_that_another_sweep_makes_at_the_same_moment(sweep, client):
    class Racing(Faulty):
        def get_experiment_by_name(self, name):
            found = self._client.get_experiment_by_name(name)
            if found is None:
                self._client.create_experiment(name)
            return found

    trial = add(sweep)
    trial.begin()
    assert MlflowView(sweep, connect=through(Racing)).sync().is_complete
    assert len(runs_of(client, sweep)) == 2


def test_a_deleted_experiment_says_what_to_do(sweep, client):
    client.delete_experiment(client.create_experiment("gone"))
    result = MlflowView(sweep, experiment="gone").sync()
    assert "'gone' is deleted in MLflow" in result.errors[0]
    assert "restore it" in result.errors[0]


def test_a_password_gets_into_no_file_and_no_message(sweep, caplog):
    uri = "https://user:secret@mlflow.example.org/path"

    def down(uri):
        raise ConnectionError(f"{uri} does not answer")

    view = MlflowView(sweep, tracking_uri=uri, connect=down)
    assert view.sync().errors == (
        "ConnectionError: https://mlflow.example.org/path does not answer",
    )
    view._states.save(sweep.path, view._states.load(sweep.path))
    assert "secret" not in caplog.text
    assert "secret" not in (sweep.path / "mlflow.json").read_text()


def test_a_sweep_that_another_process_is_sending_waits(sweep, monkeypatch):
    from sweeper._files import FileLock

    monkeypatch.setattr("sweeper.tracking.mlflow_view.view.LOCK_WAIT_S", 0.0)
    view = MlflowView(sweep)
    with FileLock(sweep.path / "mlflow.lock") as lock:
        assert lock.acquire()
        assert "is sending this sweep" in view.sync().errors[0]
    assert view.sync().is_complete


# The thread.


def test_the_thread_sends_while_a_trial_trains_and_the_rest_at_its_end(sweep, client):
    trial = add(sweep)
    trial.begin()
    view = MlflowView(sweep, interval_s=0.02)
    view.start()
    view.start()
    train(trial, stop=3)
    deadline = time.monotonic() + 30
    while view.last_result.points == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    train(trial, start=3)
    trial.complete()
    assert view.stop().is_complete
    assert_complete(client, runs_of(client, sweep)[trial.id])
    assert view.stop().is_complete


def test_the_thread_leaves_the_start_to_the_replicas(sweep):
    connected = threading.Event()

    def connecting(uri):
        connected.set()
        return connect(uri)

    trial = add(sweep)
    view = MlflowView(sweep, interval_s=0.01, connect=connecting)
    view.start()
    trial.begin()
    assert not connected.wait(0.2)
    trial.append(1, {"train_loss": 1.0})
    assert connected.wait(30)
    assert view.stop().is_complete


def test_a_store_that_hangs_does_not_hold_up_the_end(sweep, caplog):
    is_over = threading.Event()

    def hanging(uri):
        is_over.wait(30)
        raise ConnectionError("too late")

    add(sweep).begin()
    view = MlflowView(sweep, interval_s=0.01, connect=hanging)
    view.start()
    thread = view._thread
    view.stop(timeout_s=0.05)
    assert "has not answered" in caplog.text
    is_over.set()
    assert thread is not None
    thread.join(30)


def test_the_pause_grows_while_the_store_is_down(sweep):
    def down(uri):
        raise ConnectionError

    view = MlflowView(sweep, interval_s=2.0, connect=down)
    pauses = [view._pause_s()]
    for _ in range(40):
        view.sync()
        pauses.append(view._pause_s())
    assert pauses[:6] == [2, 4, 8, 16, 30, 30]
    assert pauses[-1] == 30


def test_a_process_killed_while_it_makes_the_store_leaves_none_behind(tmp_path):
    store = tmp_path / "mlflow.db"
    code = f"from sweeper.tracking.mlflow_view.store import connect; connect('sqlite:///{store}')"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        unfinished = tmp_path / "mlflow.db.new"
        deadline = time.monotonic() + 60
        while not unfinished.exists() or not unfinished.stat().st_size:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    assert not store.exists()
    assert connect(f"sqlite:///{store}").search_experiments() is not None
    assert store.exists()
    assert not unfinished.exists()
