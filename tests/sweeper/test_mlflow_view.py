"""MLflow shows what the records hold, each thing once, whatever fails on the way."""

from __future__ import annotations

import logging
import math
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest

from sweeper.mlflow_view import (
    MlflowView,
    comparison_url,
    experiment_url,
    is_server,
    public_uri,
    resolve_tracking_uri,
    ui_command,
)
from sweeper.mlflow_view.content import flatten
from sweeper.mlflow_view.runs import connect
from sweeper.records import TrialFolder
from sweeper.tracking import SweepFolder

START_S = 1_700_000_000.0
STEPS = 6


class Clock:
    """Unix time that moves by a second with every look."""

    def __init__(self):
        self.now_s = START_S

    def __call__(self):
        self.now_s += 1
        return self.now_s


class Faulty:
    """A real client that fails on command, before or after the store has done its work."""

    def __init__(self, client):
        self._client = client
        self.calls: Counter[str] = Counter()
        self.faults: dict[str, str] = {}

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*args, **kwargs):
            self.calls[name] += 1
            if self.faults.get(name) == "before":
                raise ConnectionError(f"{name} did not get there")
            result = method(*args, **kwargs)
            if self.faults.get(name) == "after":
                raise ConnectionError(f"{name} got there, its answer did not come back")
            return result

        return call


def through(wrap):
    """A `connect` whose client is wrapped."""
    return lambda uri: wrap(connect(uri))


class Crash(BaseException):
    """The end of the process: nothing catches it."""


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A SQLite store with MLflow's tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def sweep(tmp_path, empty_store):
    home = tmp_path / "sweeps"
    document = {
        "name": "masa",
        "profile": "embedded",
        "objective": {"metric": "eval_loss", "mode": "min"},
        "methods": [{"name": "masa"}],
    }
    folder = SweepFolder.create(home, "masa-1", document=document, clock=Clock())
    shutil.copy(empty_store, home / "mlflow.db")
    return folder


@pytest.fixture
def client(sweep):
    return connect(resolve_tracking_uri(sweep.home))


def add(sweep, number=0):
    return sweep.add_trial(
        f"{number:012x}",
        spec={"method": {"name": "masa", "rank": 8, "targets": ["q", "v"]}, "train": {"lr": 0.001}},
        number=number,
        method="masa",
        params={"rank": 8, "searched": 1e-3},
        steps_total=STEPS,
    )


def train(trial: TrialFolder, *, start: int = 0, stop: int = STEPS):
    for step in range(start + 1, stop + 1):
        trial.report(step, {"loss": 10.0 / step})
        if step % 3 == 0:
            trial.report(step, {"eval_loss": 5.0 / step, "system/cpu_utilization_percentage": 50.0})


def save_adapter(trial):
    trial.adapter.mkdir()
    (trial.adapter / "adapter_config.json").write_text("{}")


def runs_of(client, sweep):
    """All runs by their tag `trial`; that of the sweep by the empty string. None comes twice."""
    experiment = client.get_experiment_by_name("sweeper")
    runs = client.search_runs([experiment.experiment_id], f"tags.sweep = '{sweep.name}'")
    by_trial = {run.data.tags.get("trial", ""): run for run in runs}
    assert len(by_trial) == len(runs)
    return by_trial


def history(client, run, name):
    metrics = client.get_metric_history(run.info.run_id, name)
    return sorted((metric.step, metric.value) for metric in metrics)


def assert_complete(client, run, *, steps=STEPS):
    """All points of :func:`train` are there, each once."""
    assert history(client, run, "loss") == [(s, 10.0 / s) for s in range(1, steps + 1)]
    assert history(client, run, "eval_loss") == [(s, 5.0 / s) for s in range(3, steps + 1, 3)]


def artifacts(client, run, folder=None):
    return [item.path for item in client.list_artifacts(run.info.run_id, folder)]


# What is shown.


def test_a_complete_trial(sweep, client):
    trial = add(sweep)
    trial.begin()
    train(trial)
    save_adapter(trial)
    record = trial.complete()
    sweep.mark("complete")
    result = MlflowView(sweep).sync()
    assert result.is_complete
    assert result.points == STEPS + 2 * 2

    runs = runs_of(client, sweep)
    parent, run = runs[""], runs[trial.id]
    assert run.info.run_name == f"000-masa-{trial.id}"
    assert run.info.status == "FINISHED"
    assert run.info.start_time == record.started_at.timestamp() * 1000
    assert run.info.end_time == record.ended_at.timestamp() * 1000
    assert run.data.params == {
        "method.name": "masa",
        "rank": "8",
        "method.targets": '["q", "v"]',
        "train.lr": "0.001",
        "searched": "0.001",
    }
    tags = run.data.tags
    assert tags["mlflow.parentRunId"] == parent.info.run_id
    assert (tags["sweep"], tags["trial"], tags["method"]) == ("masa-1", trial.id, "masa")
    assert (tags["profile"], tags["status"], tags["attempts"]) == ("embedded", "complete", "1")
    assert len(tags["config_hash"]) == 12
    assert_complete(client, run)
    assert history(client, run, "system/cpu_utilization_percentage") == [(3, 50.0), (6, 50.0)]
    assert artifacts(client, run) == ["adapter", "spec.json"]
    assert artifacts(client, run, "adapter") == ["adapter/adapter_config.json"]
    assert run.info.artifact_uri.startswith((sweep.home / "mlartifacts" / "sweeper").as_uri())

    assert parent.info.run_name == "masa-1"
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {
        "name": "masa",
        "profile": "embedded",
        "objective.metric": "eval_loss",
        "objective.mode": "min",
    }
    assert artifacts(client, parent) == ["sweep.json"]


def test_the_commit_is_a_tag(sweep, client):
    sweep.about()["git"] = {"commit": "c" * 40, "is_dirty": True}
    path = sweep.path / "sweep.json"
    path.write_text(path.read_text().replace('"git": null', '"git": "x"'))
    from sweeper.mlflow_view.content import sweep_tags

    tags = sweep_tags(sweep)
    assert tags["git_commit"] == "c" * 40 + "-dirty"
    assert tags["mlflow.source.git.commit"] == "c" * 40


def test_every_end_has_its_status(sweep, client):
    ends = {
        0: lambda trial: trial.complete(),
        1: lambda trial: trial.prune(),
        2: lambda trial: trial.fail("DivergedError", "NaN", traceback="Traceback: NaN"),
        3: lambda trial: trial.fail("ReplicaLost", "it died"),
        4: lambda trial: None,
    }
    for number, end in ends.items():
        trial = add(sweep, number)
        trial.begin()
        trial.report(1, {"loss": 1.0})
        end(trial)
    never_begun = add(sweep, 5)
    view = MlflowView(sweep)
    assert view.sync().is_complete
    runs = runs_of(client, sweep)
    assert never_begun.id not in runs
    shown = [runs[f"{n:012x}"] for n in ends]
    assert [run.info.status for run in shown] == [
        "FINISHED",
        "FINISHED",
        "FAILED",
        "FAILED",
        "RUNNING",
    ]
    statuses = [run.data.tags["status"] for run in shown]
    assert statuses == ["complete", "pruned", "failed", "failed", "running"]
    for run, text in [(shown[2], "Traceback: NaN"), (shown[3], "ReplicaLost: it died\n")]:
        path = client.download_artifacts(run.info.run_id, "error.txt")
        assert Path(path).read_text() == text
    assert runs[""].info.status == "RUNNING"

    sweep.mark("stopped")
    assert view.sync().is_complete
    runs = runs_of(client, sweep)
    assert (runs[""].info.status, runs["0" * 11 + "4"].info.status) == ("KILLED", "KILLED")
    assert runs["0" * 12].info.status == "FINISHED"

    sweep.mark("running")
    assert view.sync().is_complete
    runs = runs_of(client, sweep)
    assert (runs[""].info.status, runs["0" * 11 + "4"].info.status) == ("RUNNING", "RUNNING")


def test_not_a_number_is_shown_as_such(sweep, client):
    trial = add(sweep)
    trial.begin()
    trial.report(1, {"loss": 2.0})
    trial.report(2, {"loss": math.nan})
    trial.fail("DivergedError", "NaN")
    assert MlflowView(sweep).sync().is_complete
    values = history(client, runs_of(client, sweep)[trial.id], "loss")
    assert values[0] == (1, 2.0)
    assert math.isnan(values[1][1])


def test_a_name_that_mlflow_refuses_is_changed(sweep, client):
    trial = add(sweep)
    trial.begin()
    trial.report(1, {"accuracy (%)": 50.0})
    assert MlflowView(sweep).sync().is_complete
    assert history(client, runs_of(client, sweep)[trial.id], "accuracy ___") == [(1, 50.0)]


# Exactly once.


def test_a_second_pass_sends_what_is_new_and_asks_nothing(sweep, client):
    clients = []

    def faulty(uri):
        clients.append(Faulty(connect(uri)))
        return clients[-1]

    trial = add(sweep)
    trial.begin()
    train(trial, stop=2)
    view = MlflowView(sweep, connect=faulty)
    assert view.sync().points == 2
    clients[0].calls.clear()
    assert view.sync().points == 0
    assert not clients[0].calls
    train(trial, start=2, stop=4)
    assert view.sync().points == 4
    assert clients[0].calls == {"log_batch": 1}
    train(trial, start=4)
    trial.complete()
    view.sync()
    assert_complete(client, runs_of(client, sweep)[trial.id])


def test_a_resumed_trial_goes_on_in_its_run(sweep, client):
    trial = add(sweep)
    trial.begin()
    train(trial, stop=4)
    assert MlflowView(sweep).sync().is_complete
    # The driver is killed; the next one goes on from the checkpoint of step 3.
    resumed = SweepFolder(sweep.path, clock=Clock())
    resumed.requeue_interrupted()
    view = MlflowView(resumed)
    assert view.sync().is_complete
    assert runs_of(client, sweep)[trial.id].info.status == "SCHEDULED"
    again = resumed.trial(trial.id)
    again.begin()
    again.rewind(3)
    train(again, start=3)
    again.complete()
    assert view.sync().is_complete
    run = runs_of(client, sweep)[trial.id]
    assert (run.info.status, run.data.tags["attempts"]) == ("FINISHED", "2")
    assert_complete(client, run)


def test_a_retried_failure_goes_on_in_its_run(sweep, client):
    trial = add(sweep)
    trial.begin()
    train(trial, stop=2)
    trial.fail("OutOfMemory", "…")
    view = MlflowView(sweep)
    assert view.sync().is_complete
    trial.requeue()
    trial.begin()
    trial.rewind(0)
    assert view.sync().is_complete
    assert runs_of(client, sweep)[trial.id].info.status == "RUNNING"
    train(trial)
    save_adapter(trial)
    trial.complete()
    assert view.sync().is_complete
    run = runs_of(client, sweep)[trial.id]
    assert run.info.status == "FINISHED"
    assert_complete(client, run)
    assert artifacts(client, run) == ["adapter", "error.txt", "spec.json"]


@pytest.mark.parametrize("where", ["create_run", "log_batch", "update_run", "set_terminated"])
def test_a_crash_between_sending_and_remembering(sweep, client, where):
    trial = add(sweep)
    trial.begin()
    train(trial)
    trial.complete()

    class Dying(Faulty):
        def __getattr__(self, name):
            call = super().__getattr__(name)

            def dying(*args, **kwargs):
                result = call(*args, **kwargs)
                # The first calls are about the sweep's own run; it dies in the trial's.
                if name == where and self.calls[name] == (1 if name == "set_terminated" else 2):
                    raise Crash
                return result

            return dying

    if where == "update_run":
        sweep.mark("stopped")
        MlflowView(sweep).sync()
        sweep.mark("running")
        trial.requeue()
    view = MlflowView(sweep, connect=through(Dying))
    with pytest.raises(Crash):
        view.sync()
    if where == "update_run":
        trial.begin()
        trial.complete()
    assert MlflowView(SweepFolder(sweep.path)).sync().is_complete
    run = runs_of(client, sweep)[trial.id]
    assert_complete(client, run)
    assert run.info.status == "FINISHED"


def test_a_crash_between_two_batches(sweep, client, monkeypatch):
    monkeypatch.setattr("sweeper.mlflow_view.runs.MAX_METRICS", 4)
    trial = add(sweep)
    trial.begin()
    train(trial)
    trial.complete()

    class Dying(Faulty):
        def log_batch(self, *args, **kwargs):
            self._client.log_batch(*args, **kwargs)
            self.calls["log_batch"] += 1
            if self.calls["log_batch"] == 4:
                raise Crash

    with pytest.raises(Crash):
        MlflowView(sweep, connect=through(Dying)).sync()
    sent = len(history(client, runs_of(client, sweep)[trial.id], "loss"))
    assert 0 < sent < STEPS
    assert MlflowView(sweep).sync().is_complete
    assert_complete(client, runs_of(client, sweep)[trial.id])


def test_lost_states_are_found_again_on_the_store(sweep, client):
    trial = add(sweep)
    trial.begin()
    train(trial, stop=4)
    assert MlflowView(sweep).sync().is_complete
    for path in sweep.path.rglob("mlflow.json"):
        path.unlink()
    (sweep.path / "mlflow.json").write_text('{"torn')
    train(trial, start=4)
    trial.complete()
    assert MlflowView(sweep).sync().is_complete
    assert_complete(client, runs_of(client, sweep)[trial.id])


def test_a_lost_store_is_built_again(sweep, empty_store):
    trial = add(sweep)
    trial.begin()
    train(trial)
    trial.complete()
    assert MlflowView(sweep).sync().is_complete
    shutil.copy(empty_store, sweep.home / "mlflow.db")
    assert MlflowView(sweep).sync().points == STEPS + 4
    client = connect(resolve_tracking_uri(sweep.home))
    assert_complete(client, runs_of(client, sweep)[trial.id])


def test_two_views_on_one_store(sweep, client):
    trial = add(sweep)
    trial.begin()
    views = [MlflowView(sweep), MlflowView(SweepFolder(sweep.path))]
    for step in range(STEPS):
        train(trial, start=step, stop=step + 1)
        threads = [threading.Thread(target=view.sync) for view in views]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(view.last_result.is_complete for view in views)
    trial.complete()
    assert all(view.sync().is_complete for view in views)
    assert_complete(client, runs_of(client, sweep)[trial.id])


def test_two_stores_each_get_all(sweep, empty_store, tmp_path):
    uris = []
    for name in ("one.db", "two.db"):
        shutil.copy(empty_store, tmp_path / name)
        uris.append(f"sqlite:///{tmp_path / name}")
    trial = add(sweep)
    trial.begin()
    views = [MlflowView(sweep, tracking_uri=uri) for uri in uris]
    for step in range(STEPS):
        train(trial, start=step, stop=step + 1)
        assert all(view.sync().is_complete for view in views)
    for uri in uris:
        client = connect(uri)
        assert_complete(client, runs_of(client, sweep)[trial.id])


def test_sweeps_of_one_name_do_not_share_runs(sweep, client, tmp_path):
    uri = resolve_tracking_uri(sweep.home)
    other = SweepFolder.create(tmp_path / "other", sweep.name, document={}, clock=Clock())
    for folder in (sweep, other):
        trial = add(folder)
        trial.begin()
        train(trial)
        assert MlflowView(folder, tracking_uri=uri).sync().is_complete
    experiment = client.get_experiment_by_name("sweeper")
    assert len(client.search_runs([experiment.experiment_id])) == 4


def test_many_runs_are_found_page_by_page(sweep, client):
    class Small(Faulty):
        def search_runs(self, *args, **kwargs):
            self.calls["search_runs"] += 1
            return self._client.search_runs(*args, max_results=2, **kwargs)

    trials = [add(sweep, number) for number in range(4)]
    for trial in trials:
        trial.begin()
        train(trial, stop=1)
    assert MlflowView(sweep).sync().is_complete
    for path in sweep.path.rglob("mlflow.json"):
        path.unlink()
    small = Small(connect(resolve_tracking_uri(sweep.home)))
    assert MlflowView(sweep, connect=through(lambda client: small)).sync().is_complete
    assert small.calls["search_runs"] == 3
    assert len(runs_of(client, sweep)) == 5


def test_a_deleted_run_stays_deleted(sweep, client):
    trials = [add(sweep, number) for number in range(2)]
    for trial in trials:
        trial.begin()
        train(trial, stop=2)
    view = MlflowView(sweep)
    assert view.sync().is_complete
    client.delete_run(runs_of(client, sweep)[trials[0].id].info.run_id)
    for trial in trials:
        train(trial, start=2)
        trial.complete()
    view.sync()
    assert view.sync().is_complete
    runs = runs_of(client, sweep)
    assert trials[0].id not in runs
    assert_complete(client, runs[trials[1].id])


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
    with caplog.at_level(logging.INFO, logger="sweeper.mlflow_view"):
        results = [view.sync() for _ in range(3)]
        assert method in results[0].errors[0]
        faulty.faults = {}
        assert view.sync().is_complete
    messages = [record.message for record in caplog.records]
    assert len(messages) == 2
    assert "could not be brought up to date" in messages[0]
    assert "up to date again" in messages[1]
    runs = runs_of(client, sweep)
    assert len(runs) == 2
    assert [runs[key].info.status for key in runs] == ["FINISHED", "FINISHED"]
    assert_complete(client, runs[trial.id])
    assert artifacts(client, runs[trial.id]) == ["adapter", "spec.json"]


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
    from sweeper._durable import FileLock

    monkeypatch.setattr("sweeper.mlflow_view.view.LOCK_WAIT_S", 0.0)
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
    assert not connected.wait(0.2)
    trial.begin()
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
    assert pauses[:6] == [2, 4, 8, 16, 32, 60]
    assert pauses[-1] == 60


# Pages.


def test_the_pages_are_those_of_the_sweep(sweep, client):
    view = MlflowView(sweep)
    base = "http://127.0.0.1:5000"
    assert view.pages(base) == (f"{base}/#/experiments", f"{base}/#/experiments")
    for number in (1, 0):
        add(sweep, number).begin()
    view.sync()
    runs = runs_of(client, sweep)
    experiment_id = runs[""].info.experiment_id
    experiment, comparison = MlflowView(sweep).pages(base + "/")
    ids = [runs[f"{number:012x}"].info.run_id for number in (0, 1)]
    assert experiment == f"{base}/#/experiments/{experiment_id}"
    assert unquote(comparison) == (
        f'{base}/#/compare-runs?runs=["{ids[0]}","{ids[1]}"]&experiments=["{experiment_id}"]'
    )
    assert '"' not in comparison


def test_a_comparison_has_at_most_a_hundred_runs():
    url = comparison_url("http://h", experiment_id="1", run_ids=[str(n) for n in range(500)])
    assert '"99"' in unquote(url)
    assert '"100"' not in unquote(url)
    assert experiment_url("http://h", "3") == "http://h/#/experiments/3"


def test_where_to_log(tmp_path, monkeypatch):
    assert resolve_tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert resolve_tracking_uri(tmp_path) == "http://server:5000"
    assert resolve_tracking_uri(tmp_path, "file:///x") == "file:///x"


@pytest.mark.parametrize(
    ("uri", "public", "server"),
    [
        ("sqlite:////home/user/mlflow.db", "sqlite:////home/user/mlflow.db", False),
        ("http://host:5000", "http://host:5000", True),
        ("https://u:p@host/x", "https://host/x", True),
        ("postgresql+psycopg2://u:p@db/mlflow", "postgresql+psycopg2://db/mlflow", False),
        ("databricks", "databricks", False),
        ("./mlruns", "./mlruns", False),
    ],
)
def test_tracking_uris(uri, public, server):
    assert public_uri(uri) == public
    assert is_server(uri) is server


def test_the_command_of_the_web_pages(tmp_path):
    command = ui_command(tmp_path, 5001)
    assert command[1:4] == ["-m", "mlflow", "server"]
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert options == {
        "--backend-store-uri": f"sqlite:///{tmp_path}/mlflow.db",
        "--default-artifact-root": (tmp_path / "mlartifacts").as_uri(),
        "--host": "127.0.0.1",
        "--port": "5001",
        "--workers": "1",
    }
    assert "--default-artifact-root" not in ui_command(tmp_path, tracking_uri="./mlruns")


def test_flatten_keeps_lists_in_one_piece():
    tree = {"a": {"b": 1, "c": [1, "x"]}, "d": None, "e": "text", "f": True}
    assert dict(flatten(tree)) == {
        "a.b": "1",
        "a.c": '[1, "x"]',
        "d": "null",
        "e": "text",
        "f": "true",
    }


def test_a_process_killed_while_it_makes_the_store_leaves_none_behind(tmp_path):
    store = tmp_path / "mlflow.db"
    code = f"from sweeper.mlflow_view.runs import connect; connect('sqlite:///{store}')"
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
