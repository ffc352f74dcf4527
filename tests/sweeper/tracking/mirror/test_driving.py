"""A sweep that is driven: pushed while it runs, through a store that goes away, and to its end."""

import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.tracking.mirror.driving import Keeper, is_locked, mirrored
from sweeper.tracking.mirror.lease import Lease, LeaseLostError, Owner, newest_claim
from sweeper.tracking.mirror.stores import FolderStore
from sweeper.tracking.mirror.working_copy import WorkingCopy, note_home
from tests.sweeper.s3 import DictStore

FAR = Owner(host="far", pid=7, machine="another", started="1")


def wait_until(is_so: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def copy(tmp_path) -> WorkingCopy:
    folder = tmp_path / "copies" / "night"
    trial = folder / "trials" / "a1"
    (trial / "checkpoint" / "step-00000002").mkdir(parents=True)
    (folder / "sweep.json").write_text("{}")
    (trial / "spec.json").write_text("{}")
    (trial / "record.json").write_text("one")
    (trial / "checkpoint" / "step-00000002" / "manifest.json").write_text("{}")
    return WorkingCopy(folder, DictStore())


def keeper_of(copy: WorkingCopy, **options) -> tuple[Keeper, list[str], list[str]]:
    told: list[str] = []
    lost: list[str] = []
    settings = {"beat_s": 0.02, "push_s": 0.02, "patience_s": 0.0}
    keeper = Keeper(copy, tell=told.append, on_lost=lost.append, **{**settings, **options})
    return keeper, told, lost


def test_what_is_written_while_it_runs_is_pushed_while_it_runs(copy):
    keeper, told, _ = keeper_of(copy)
    keeper.begin()
    record = copy.folder / "trials" / "a1" / "record.json"
    record.unlink()
    record.write_text("two")
    (copy.folder / "state.json").write_text("running")
    store = copy.store
    wait_until(lambda: store.objects.get("night/trials/a1/record.json") == b"two")
    wait_until(lambda: "night/state.json" in store.objects)
    keeper.end()
    assert told == []
    assert newest_claim(store, "night")[1] == ""


def test_a_store_that_is_away_for_a_while_is_told_of_once_and_gets_all_when_it_is_back(copy):
    keeper, told, lost = keeper_of(copy)
    keeper.begin()
    copy.store.is_away = True
    (copy.folder / "trials" / "a1" / "record.json").write_text("meanwhile")
    wait_until(lambda: len(told) == 1)
    time.sleep(0.3)
    assert len(told) == 1
    assert "The store does not answer (memory://store: away). The sweep goes on" in told[0]
    copy.store.is_away = False
    wait_until(lambda: len(told) == 2)
    assert told[1] == "memory://store is back, and has all that was written meanwhile."
    assert copy.store.objects["night/trials/a1/record.json"] == b"meanwhile"
    keeper.end()
    assert lost == []


def test_the_end_says_what_is_not_pushed_and_a_resume_pushes_it(copy):
    keeper, told, _ = keeper_of(copy, push_s=60.0)
    keeper.begin()
    (copy.folder / "trials" / "a1" / "record.json").write_text("last")
    copy.store.is_away = True
    keeper.end()
    assert told == [
        "1 files are not at memory://store yet (memory://store: away). They are in "
        f"{copy.folder}; 'resume night' on this machine pushes them."
    ]
    copy.store.is_away = False
    again, _, _ = keeper_of(copy)
    again.begin()
    assert copy.store.objects["night/trials/a1/record.json"] == b"last"
    again.end()


def test_a_run_does_not_begin_while_the_store_is_away(copy):
    copy.store.is_away = True
    keeper, _, _ = keeper_of(copy)
    with pytest.raises(BadInputError, match="'night' cannot be run, because its store does not"):
        keeper.begin()


def test_a_driver_that_was_taken_for_dead_stops_and_pushes_nothing_more(copy):
    keeper, _, lost = keeper_of(copy, push_s=60.0)
    keeper.begin()
    # It is paused, and another one takes the sweep over.
    taker = Lease(copy.store, "night", owner=FAR, sleep=lambda s: None, missed=0)
    taker.acquire()
    before = {key: x for key, x in copy.store.objects.items() if "/lease/" not in key}
    (copy.folder / "trials" / "a1" / "record.json").write_text("too late")
    wait_until(lambda: bool(lost))
    assert "has been taken over by another process" in lost[0]
    with pytest.raises(LeaseLostError):
        keeper.end()
    assert before == {key: x for key, x in copy.store.objects.items() if "/lease/" not in key}
    taker.require()


def test_checkpoints_of_ended_trials_go_once_the_study_at_the_store_says_so(copy):
    ended: list[str] = []
    keeper, _, _ = keeper_of(copy, ended=lambda: ended)
    manifest = "night/trials/a1/checkpoint/step-00000002/manifest.json"
    order: list[str] = []
    store = copy.store
    delete = store.delete
    store.after_put = order.append

    def noted_delete(key):
        order.append(f"delete {key}")
        delete(key)

    store.delete = noted_delete
    keeper.begin()
    assert manifest in store.objects
    with closing(sqlite3.connect(copy.folder / "optuna.db")) as study:
        study.execute("create table t (x)")
        study.commit()
    wait_until(lambda: "night/optuna.db" in store.objects)
    assert manifest in store.objects
    ended.append("a1")
    with closing(sqlite3.connect(copy.folder / "optuna.db")) as study:
        study.execute("insert into t values (1)")
        study.commit()
    wait_until(lambda: manifest not in store.objects)
    assert order.index("night/optuna.db") < order.index(f"delete {manifest}")
    # On this machine they stay.
    assert (copy.folder / "trials/a1/checkpoint/step-00000002/manifest.json").exists()
    keeper.end()


def test_checkpoints_go_where_the_study_is_in_a_shared_database(copy):
    ended: list[str] = []
    keeper, _, _ = keeper_of(copy, ended=lambda: ended)
    manifest = "night/trials/a1/checkpoint/step-00000002/manifest.json"
    keeper.begin()
    assert manifest in copy.store.objects
    ended.append("a1")
    # No file of the sweep says that the study has changed.
    assert not (copy.folder / "optuna.db").exists()
    wait_until(lambda: manifest not in copy.store.objects)
    keeper.end()


def test_without_a_url_nothing_is_done(tmp_path):
    folder = tmp_path / "night"
    folder.mkdir()
    with mirrored(folder):
        pass
    assert list(folder.iterdir()) == []


PROGRAM = """
import sys, time
from pathlib import Path
from sweeper._files import FileLock
from sweeper.tracking.mirror import mirrored

sweep = Path(sys.argv[1])
with FileLock(sweep / "driver.lock") as lock:
    assert lock.acquire()
    with mirrored(sweep, tell=lambda text: print(text, flush=True)):
        print("begun", flush=True)
        time.sleep(600)
"""


def test_the_sweep_of_a_process_that_was_killed_is_taken_over_at_once_on_its_machine(tmp_path):
    home, there = tmp_path / "copies", tmp_path / "there"
    there.mkdir()
    (home / "night").mkdir(parents=True)
    (home / "night" / "sweep.json").write_text("{}")
    note_home(home, there.as_uri())
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(home / "night")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert is_locked(home / "night")
        keeper, _, _ = keeper_of(WorkingCopy(home / "night", FolderStore(there)))
        keeper.lease.missed = 10_000
        # While it lives another one is refused: it sees the beat change, or waits for that.
        assert not keeper.lease._owner(newest_claim(keeper.lease.store, "night")[0]).is_dead_here()
        process.send_signal(signal.SIGKILL)
        process.wait()
        begin_s = time.monotonic()
        keeper.begin()
        assert time.monotonic() - begin_s < 5.0
        keeper.end()
    assert not is_locked(home / "night")
    assert (there / "night" / "sweep.json").read_text() == "{}"


def test_files_of_others_are_not_touched(tmp_path):
    folder = Path(tmp_path / "night")
    assert not is_locked(folder)
