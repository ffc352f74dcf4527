"""A sweep's folder and the sweep at a store: pushed in order, pulled where it is needed."""

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.tracking.mirror.lease import Lease, Owner
from sweeper.tracking.mirror.stores import Store, StoreError
from sweeper.tracking.mirror.working_copy import WorkingCopy
from tests.sweeper.s3 import DictStore

FAR = Owner(host="far", pid=7, machine="another", started="1")


def free() -> None:
    """Stands for a lease that is held."""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def trial_files(step: int) -> dict[str, str]:
    return {
        "spec.json": "{}",
        "record.json": f'{{"steps": {step}}}',
        "metrics.jsonl": "".join(f'{{"step": {n}}}\n' for n in range(step + 1)),
        f"checkpoint/step-{step:08d}/shared.pt": f"shared {step}",
        f"checkpoint/step-{step:08d}/rank-0.pt": f"rank {step}",
        f"checkpoint/step-{step:08d}/manifest.json": f"manifest {step}",
        "adapter/adapter_model.safetensors": "weights",
        "adapter.sha256": "hash",
    }


def write_trial(copy: WorkingCopy, step: int) -> Path:
    trial = copy.folder / "trials" / "a1"
    write(trial, trial_files(step))
    return trial


def lease_of(store: Store) -> Lease:
    return Lease(store, "night", owner=FAR, clock=lambda: 0.0, sleep=lambda s: None, missed=0)


def drive(copy: WorkingCopy) -> Lease:
    """Takes the sweep as its driver does at its begin."""
    lease = lease_of(copy.store)
    lease.acquire(on_asking=copy.note_asked)
    copy.synchronise(lease)
    return lease


@pytest.fixture
def store() -> DictStore:
    return DictStore()


@pytest.fixture
def copy(store, tmp_path) -> WorkingCopy:
    folder = tmp_path / "here" / "night"
    write(folder, {"sweep.json": "{}", "state.json": "running", "driver.lock": "", "ray/x": "x"})
    return WorkingCopy(folder, store)


@pytest.fixture
def elsewhere(store, tmp_path) -> WorkingCopy:
    return WorkingCopy(tmp_path / "elsewhere" / "night", store)


def files_of(copy: WorkingCopy) -> dict[str, str]:
    found = [path for path in sorted(copy.folder.rglob("*")) if path.is_file()]
    return {
        path.relative_to(copy.folder).as_posix(): path.read_text()
        for path in found
        if not path.name.startswith(".") and path.suffix != ".lock"
    }


def kept_of(store: DictStore) -> set[str]:
    return {key for key in store.objects if "/lease/" not in key}


def test_what_names_other_files_is_put_after_them(copy, store):
    write_trial(copy, 4)
    store.puts.clear()
    copy.trial_unit("a1").push(require=free)
    names = [key.removeprefix("night/trials/a1/") for key in store.puts]
    assert names[0] == "spec.json"
    assert names[-1] == "record.json"
    step = "checkpoint/step-00000004"
    assert names.index(f"{step}/manifest.json") > names.index(f"{step}/rank-0.pt")
    assert names.index(f"{step}/manifest.json") > names.index(f"{step}/shared.pt")
    assert names.index("adapter.sha256") > names.index("adapter/adapter_model.safetensors")


def test_only_what_has_changed_is_put_again(copy, store):
    trial = write_trial(copy, 4)
    unit = copy.trial_unit("a1")
    unit.push(require=free)
    store.puts.clear()
    unit.push(require=free)
    assert store.puts == []
    with (trial / "metrics.jsonl").open("a") as file:
        file.write("{}\n")
    unit.push(require=free)
    assert store.puts == ["night/trials/a1/metrics.jsonl"]


def test_a_checkpoint_goes_when_newer_ones_are_there_and_not_before(copy, store):
    trial = write_trial(copy, 2)
    unit = copy.trial_unit("a1")
    unit.push(require=free)
    write_trial(copy, 4)
    shutil.rmtree(trial / "checkpoint" / "step-00000002")
    order: list[str] = []
    store.after_put = order.append
    store.delete = lambda key: order.append(f"delete {key}")
    unit.push(require=free)
    manifest = "night/trials/a1/checkpoint/step-00000004/manifest.json"
    deleted = [number for number, key in enumerate(order) if key.startswith("delete")]
    assert len(deleted) == 3
    assert order.index(manifest) < min(deleted)
    # The last one of all is not removed because somebody made room on this machine.
    del store.delete
    shutil.rmtree(trial / "checkpoint")
    unit.push(require=free)
    assert manifest in store.objects


def test_locks_views_and_what_ray_keeps_stay_on_this_machine(copy, store):
    write(copy.folder, {"mlflow.json": "{}", ".half.unfinished": "x", "exports": "x"})
    trial = write_trial(copy, 2)
    write(trial, {"exports/merged/model.safetensors": "large", "mlflow.lock": ""})
    for unit in copy.units():
        unit.push(require=free)
    assert not [key for key in store.objects if "lock" in key or "ray" in key or "half" in key]
    assert "night/trials/a1/exports/merged/model.safetensors" not in store.objects
    # It changes every other second while MLflow is sent something.
    assert "night/mlflow.json" not in store.objects
    copy.push_all(free)
    assert "night/mlflow.json" in store.objects


def test_a_sweep_goes_on_elsewhere(copy, elsewhere, store):
    write_trial(copy, 4)
    drive(copy)
    elsewhere.follow()
    assert files_of(elsewhere) == {
        name: text
        for name, text in files_of(copy).items()
        if "checkpoint" not in name and "adapter/" not in name and "ray" not in name
    }
    drive(elsewhere)
    write(elsewhere.folder, {"trials/a1/record.json": "newer", "state.json": "complete"})
    elsewhere.push_all(free)
    # The first machine is back, and has nothing that the store lacks.
    copy.follow()
    assert files_of(copy)["trials/a1/record.json"] == "newer"
    assert files_of(copy)["state.json"] == "complete"


def test_results_that_never_got_to_the_store_are_kept_under_another_name(copy, elsewhere, store):
    write_trial(copy, 2)
    drive(copy)
    write_trial(copy, 4)
    drive(elsewhere)
    write(elsewhere.folder, {"trials/a1/record.json": "other"})
    elsewhere.push_all(free)
    with pytest.raises(BadInputError, match="has been run from elsewhere"):
        drive(copy)
    copy.follow()
    kept = copy.folder.with_name("night.set-aside-1")
    assert (kept / "trials/a1/record.json").read_text() == '{"steps": 4}'
    assert (copy.folder / "trials/a1/record.json").read_text() == "other"
    # All of it counts as not pushed under its new name.
    assert WorkingCopy(kept, store).state().claim == ""
    assert len(WorkingCopy(kept, store).unpushed()) >= 9


def test_a_machine_that_crashed_pushes_what_it_had_not(copy, store):
    write_trial(copy, 2)
    drive(copy)
    write_trial(copy, 4)
    # The process has died; the next one on this machine follows, and drives.
    again = WorkingCopy(copy.folder, store)
    again.follow()
    assert (copy.folder / "trials/a1/record.json").read_text() == '{"steps": 4}'
    drive(again)
    assert store.objects["night/trials/a1/record.json"] == b'{"steps": 4}'


@pytest.mark.parametrize("request_number", range(1, 16))
def test_a_process_that_dies_at_any_put_of_its_begin_loses_nothing(copy, store, request_number):
    write_trial(copy, 2)
    drive(copy)
    write_trial(copy, 4)
    store.puts.clear()

    def die(key):
        if len(store.puts) + 1 == request_number:
            raise KeyboardInterrupt

    store.before_put = die
    with suppress(KeyboardInterrupt):
        drive(copy)
    store.before_put = lambda key: None
    copy.follow()
    assert not copy.folder.with_name("night.set-aside-1").exists()
    drive(copy)
    assert store.objects["night/trials/a1/record.json"] == b'{"steps": 4}'
    assert copy.unpushed() == []


def test_an_interrupted_pull_is_no_sweep_until_it_is_whole(copy, elsewhere, store, monkeypatch):
    write_trial(copy, 4)
    drive(copy)
    whole = store.get
    count = 0

    def get(key):
        nonlocal count
        count += 1
        if count == 4:
            raise StoreError("away")
        return whole(key)

    monkeypatch.setattr(store, "get", get)
    with pytest.raises(StoreError):
        elsewhere.follow()
    assert not (elsewhere.folder / "sweep.json").exists()
    monkeypatch.undo()
    elsewhere.follow()
    assert (elsewhere.folder / "sweep.json").exists()


def test_an_object_that_leads_out_of_the_folder_is_not_taken(copy, elsewhere, store):
    drive(copy)
    store.objects["night/../../evil"] = b"x"
    store.objects["night/trials/../../../evil"] = b"x"
    elsewhere.follow()
    assert not list(elsewhere.folder.parent.parent.rglob("evil"))


def test_what_a_store_turns_out_to_lack_is_put_again(copy, store):
    write_trial(copy, 4)
    lease = drive(copy)
    del store.objects["night/trials/a1/metrics.jsonl"]
    # Half of it, as a file system leaves it where a machine dies in the middle.
    store.objects["night/trials/a1/record.json"] = b"{"
    copy.require_whole(lease.require)
    assert store.objects["night/trials/a1/record.json"] == b'{"steps": 4}'
    assert "night/trials/a1/metrics.jsonl" in store.objects


def test_the_study_is_pushed_as_of_one_moment_and_last(copy, elsewhere, store):
    write_trial(copy, 4)
    with closing(sqlite3.connect(copy.folder / "optuna.db")) as study:
        study.execute("create table t (x)")
        study.execute("insert into t values (1)")
        study.commit()
        # Not committed: no part of it.
        study.execute("insert into t values (2)")
        drive(copy)
    assert store.puts[-1] == "night/optuna.db"
    write(elsewhere.folder, {"optuna.db-journal": "of another study"})
    elsewhere.follow()
    assert not (elsewhere.folder / "optuna.db-journal").exists()
    with closing(sqlite3.connect(elsewhere.folder / "optuna.db")) as study:
        assert study.execute("select x from t").fetchall() == [(1,)]
    store.puts.clear()
    copy.push_all(free)
    assert store.puts == []


def test_a_damaged_study_does_not_take_the_place_of_the_one_at_the_store(copy, store):
    with closing(sqlite3.connect(copy.folder / "optuna.db")) as study:
        study.execute("create table t (x)")
        study.commit()
    drive(copy)
    before = store.objects["night/optuna.db"]
    (copy.folder / "optuna.db").write_bytes(b"no database at all" * 100)
    copy.push_all(free)
    assert store.objects["night/optuna.db"] == before


def test_checkpoints_fetched_before_another_machine_drove_are_not_used(copy, elsewhere, store):
    write_trial(copy, 2)
    drive(copy)
    drive(elsewhere)
    write_trial(elsewhere, 4)
    elsewhere.push_all(free)
    copy.follow()
    assert not (copy.folder / "trials/a1/checkpoint").exists()
