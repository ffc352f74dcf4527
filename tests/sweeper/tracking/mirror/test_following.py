"""Copies for those who look, names of new sweeps, and what workers push and get on demand."""

import os
import time
from functools import partial
from pathlib import Path

import pytest

from sweeper._environment import folder_of
from sweeper._files import FileLock
from sweeper.errors import BadInputError, NameTakenError
from sweeper.tracking.mirror import (
    LeaseLostError,
    TrialPusher,
    adapter_url,
    claim_name,
    driver_elsewhere,
    driving,
    fetch,
    follow_home,
    mirrored,
    place_of,
    push_file,
    push_rest,
)
from sweeper.tracking.mirror.lease import Lease, Owner
from sweeper.tracking.mirror.stores import FolderStore
from sweeper.tracking.mirror.working_copy import copy_of
from sweeper.tracking.places import is_driven
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in
from tests.sweeper.s3 import DictStore

FAR = Owner(host="far", pid=7, machine="another", started="1")
DOCUMENT = {"objective": {"metric": "eval_loss", "mode": "min"}}


@pytest.fixture
def there(tmp_path) -> Path:
    folder = tmp_path / "there"
    folder.mkdir()
    return folder


@pytest.fixture
def url(there) -> str:
    return there.as_uri()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Goes to another machine, which has nothing but its own folder."""

    def go(name: str) -> None:
        monkeypatch.setenv("SWEEPER_COPIES", str(tmp_path / name))

    go("one")
    return go


def new_sweep(url: str, name: str = "night") -> SweepFolder:
    folder = SweepFolder.create(follow_home(url), name, document=DOCUMENT)
    claim_name(folder.path)
    return folder


def trained(folder: SweepFolder) -> Path:
    trial = folder.add_trial("0123456789ab", spec={}, number=0, method="lora")
    trial.begin()
    trial.append(1, {"train_loss": 2.0, "eval_loss": 2.0})
    for name in ("adapter/adapter_model.safetensors", "checkpoint/step-00000001/manifest.json"):
        (trial.path / name).parent.mkdir(parents=True)
        (trial.path / name).write_text(name)
    (trial.path / "adapter.sha256").write_text("")
    return trial.path


def test_a_new_sweep_is_at_the_store_before_anything_runs(machine, url, there):
    new_sweep(url)
    assert (there / "night" / "sweep.json").is_file()


def test_two_machines_do_not_make_sweeps_of_one_name(machine, url):
    machine("two")
    home = follow_home(url)
    machine("one")
    new_sweep(url)
    machine("two")
    # It has looked before the other one was made.
    late = SweepFolder.create(home, "night", document=DOCUMENT)
    with pytest.raises(NameTakenError, match="'night' is taken at file:"):
        claim_name(late.path)
    assert not late.path.exists()
    follow_home(url)
    assert [path.name for path in sweeps_in(home)] == ["night"]


def test_who_looks_gets_records_and_fetches_adapters(machine, url):
    folder = new_sweep(url)
    with folder.lock(), mirrored(folder.path):
        trained(folder)
    machine("two")
    other = SweepFolder.open("night", home=follow_home(url, sweep="night"))
    (record,) = other.trials()
    assert record.metrics == {"train_loss": 2.0, "eval_loss": 2.0}
    trial = other.trial(record.id)
    assert not trial.adapter.exists()
    assert adapter_url(trial.path) == f"{url}/night/trials/{record.id}/adapter"
    assert fetch(trial.adapter)
    assert not fetch(trial.adapter)
    assert fetch(trial.checkpoint)
    assert [path.name for path in trial.adapter.iterdir()] == ["adapter_model.safetensors"]


def test_a_sweep_that_runs_elsewhere_is_seen_as_running(machine, url, monkeypatch):
    monkeypatch.setattr(driving, "Keeper", partial(driving.Keeper, beat_s=0.3))
    folder = new_sweep(url)
    with folder.lock(), mirrored(folder.path):
        trained(folder)
        assert is_driven(folder.path)
        machine("two")
        other = follow_home(url) / "night"
        assert str(os.getpid()) in driver_elsewhere(other)
        assert is_driven(other)
        with pytest.raises(BadInputError, match="is being run by process"), mirrored(other):
            pass
        machine("one")
        # Whoever looks on the machine that runs it changes nothing.
        follow_home(url)
        assert copy_of(folder.path).state().claim
    machine("two")
    assert not is_driven(follow_home(url) / "night")


def test_what_a_worker_pushes_is_at_the_store_before_it_says_more(machine, url, there):
    folder = new_sweep(url)
    with folder.lock(), mirrored(folder.path):
        trial = trained(folder)
        TrialPusher(trial).push()
        found = there / "night" / "trials" / trial.name
        assert (found / "record.json").is_file()
        assert (found / "checkpoint/step-00000001/manifest.json").is_file()


def test_a_worker_of_a_driver_that_lost_the_sweep_pushes_nothing(machine, url, there):
    folder = new_sweep(url)
    driven = mirrored(folder.path)
    driven.__enter__()
    trial = trained(folder)
    pusher = TrialPusher(trial)
    Lease(FolderStore(there), "night", owner=FAR, sleep=lambda s: None, missed=0).acquire()
    with pytest.raises(LeaseLostError):
        pusher.push()
    with pytest.raises(LeaseLostError):
        driven.__exit__(None, None, None)
    assert not (there / "night" / "trials" / trial.name / "checkpoint").exists()


def test_a_worker_goes_on_without_the_store_and_waits_once(machine, url, monkeypatch, caplog):
    folder = new_sweep(url)
    trial = trained(folder)
    pusher = TrialPusher(trial, patience_s=0.4)
    store = DictStore()
    store.is_away = True
    monkeypatch.setattr(pusher._unit, "store", store)
    monkeypatch.setattr(pusher._lease, "require", lambda: None)
    pusher.push()
    begin_s = time.monotonic()
    pusher.push()
    assert time.monotonic() - begin_s < 0.3
    assert caplog.text.count("is not pushed for now") == 1
    store.is_away = False
    pusher.push()
    assert f"night/trials/{trial.name}/record.json" in store.objects


def test_without_a_url_all_of_it_does_nothing(tmp_path):
    folder = SweepFolder.create(tmp_path, "night", document=DOCUMENT)
    claim_name(folder.path)
    trial = trained(folder)
    TrialPusher(trial).push()
    assert not fetch(trial / "exports")
    push_file(trial / "record.json", folder.path)
    push_rest(folder.path)
    assert place_of(tmp_path) == str(tmp_path)
    assert not [path for path in folder.path.rglob("*") if path.name.startswith(".")]


def test_what_is_written_after_a_run_is_pushed_then(machine, url, there):
    folder = new_sweep(url)
    trial = trained(folder)
    (folder.path / "report.html").write_text("page")
    push_rest(folder.path)
    assert (there / "night" / "report.html").read_text() == "page"
    (trial / "evaluations").mkdir()
    (trial / "evaluations" / "one.json").write_text("{}")
    push_file(trial / "evaluations" / "one.json", folder.path)
    assert (there / "night" / "trials" / trial.name / "evaluations" / "one.json").is_file()


def test_a_url_that_does_not_answer_is_bad_input_and_says_what_is_here(machine, tmp_path):
    url = (tmp_path / "not-mounted").as_uri()
    with pytest.raises(BadInputError, match="there is no such folder") as caught:
        follow_home(url)
    assert str(folder_of(url)) in str(caught.value)


def test_a_reader_does_not_touch_a_sweep_that_this_machine_runs(machine, url, there):
    folder = new_sweep(url)
    with FileLock(folder.path / "driver.lock") as lock:
        assert lock.acquire()
        (there / "night" / "base.json").write_text("of a moment ago")
        follow_home(url)
    assert not (folder.path / "base.json").exists()


def test_place_of_a_copy_is_its_url(machine, url):
    assert place_of(follow_home(url)) == url
