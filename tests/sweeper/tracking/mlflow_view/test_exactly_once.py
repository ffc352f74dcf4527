"""MLflow shows each thing once, whatever fails on the way."""

from __future__ import annotations

import shutil
import threading

import pytest

from sweeper.tracking.mlflow_view import MlflowView, resolve_tracking_uri
from sweeper.tracking.mlflow_view.store import connect
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.tracking.mlflow_view.fakes import (
    STEPS,
    Clock,
    Crash,
    Faulty,
    add,
    artifacts,
    assert_complete,
    history,
    runs_of,
    save_adapter,
    through,
    train,
)

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
    again.begin(nodes=["node-1", "node-2"])
    again.rewind(3)
    train(again, start=3)
    again.complete()
    assert view.sync().is_complete
    run = runs_of(client, sweep)[trial.id]
    assert (run.info.status, run.data.tags["attempts"]) == ("FINISHED", "2")
    assert run.data.tags["nodes"] == "node-1, node-2"
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
    monkeypatch.setattr("sweeper.tracking.mlflow_view.runs.MAX_METRICS", 4)
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
    assert MlflowView(sweep).sync().points == STEPS + 4 + 2
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
