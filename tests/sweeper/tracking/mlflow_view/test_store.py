"""MLflow's store: asked before a sweep, made anew where damaged, moved along with its home."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys

import pytest
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from sweeper.errors import BadInputError
from sweeper.tracking.mlflow_view import MlflowView, require_store, resolve_tracking_uri
from sweeper.tracking.mlflow_view.store import connect, set_aside_if_damaged
from sweeper.tracking.pages import Place, mlflow_pages
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.tracking.mlflow_view.fakes import (
    Clock,
    add,
    artifacts,
    assert_complete,
    runs_of,
    train,
)
from tests.whole import few


def trained(sweep, number=0):
    trial = add(sweep, number)
    trial.begin()
    train(trial)
    trial.complete()
    return trial


def spoil(path, how):
    content = path.read_bytes()
    spoilt = {
        "truncated": content[: len(content) // 2],
        "a page cut": content[:5000],
        "emptied": b"",
        "garbage": b"no database at all" * 500,
        "zeros": bytes(len(content)),
    }
    path.write_bytes(spoilt[how])


WAYS = ["truncated", "a page cut", "emptied", "garbage", "zeros"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("is_open", few([False, True], False))
def test_a_damaged_store_is_kept_aside_and_made_from_the_records(sweep, caplog, how, is_open):
    trial = trained(sweep)
    view = MlflowView(sweep)
    assert view.sync().is_complete
    path = sweep.home / "mlflow.db"
    spoil(path, how)
    damaged = path.read_bytes()
    if not is_open:
        view = MlflowView(SweepFolder(sweep.path))
    trial.requeue()
    trial.begin()
    trial.complete()
    assert view.sync().is_complete
    client = connect(resolve_tracking_uri(sweep.home))
    assert_complete(client, runs_of(client, sweep)[trial.id])
    kept = sweep.home / "mlflow.db.damaged-1"
    if damaged and kept.exists():
        assert kept.read_bytes() == damaged
        assert f"was damaged and is now {kept}" in caplog.text
    else:
        assert how == "emptied"


def test_what_sqlite_wrote_beside_a_damaged_store_goes_with_it(sweep):
    path = sweep.home / "mlflow.db"
    spoil(path, "garbage")
    journal = sweep.home / "mlflow.db-journal"
    journal.write_bytes(b"of the old one")
    assert set_aside_if_damaged(resolve_tracking_uri(sweep.home)) is not None
    # SQLite itself removes one that it cannot use.
    assert not journal.exists()


def test_a_sound_or_busy_store_stays_where_it_is(sweep, client):
    uri = resolve_tracking_uri(sweep.home)
    assert set_aside_if_damaged(uri) is None
    writer = sqlite3.connect(sweep.home / "mlflow.db", isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    assert set_aside_if_damaged(uri) is None
    writer.close()
    assert (sweep.home / "mlflow.db").exists()
    assert set_aside_if_damaged("http://127.0.0.1:1") is None


def test_ui_brings_the_other_sweeps_back_after_a_damage(sweep, monkeypatch):
    other = SweepFolder.create(sweep.home, "masa-2", document={}, clock=Clock())
    never_sent = SweepFolder.create(sweep.home, "masa-3", document={}, clock=Clock())
    for folder in (sweep, other):
        trained(folder)
        assert MlflowView(folder).sync().is_complete
    spoil(sweep.home / "mlflow.db", "truncated")
    monkeypatch.setattr(mlflow_pages, "serve", lambda *_, **__: None)
    monkeypatch.setattr(Place, "require_free", lambda _: None)
    mlflow_pages.serve_ui(
        sweep.home, sweep="masa-1", tracking_uri=None, place=Place(), tell=lambda _: None
    )
    client = connect(resolve_tracking_uri(sweep.home))
    for folder in (sweep, other):
        assert_complete(client, runs_of(client, folder)["0" * 12])
    assert runs_of(client, never_sent) == {}


# Moved homes.


@pytest.mark.parametrize(
    "name", few(["elsewhere", "a?b", "50%#x", "{SCHEMA_VERSION}"], "50%#x", "{SCHEMA_VERSION}")
)
def test_a_moved_home_keeps_its_runs_and_its_files(sweep, name):
    first = trained(sweep)
    assert MlflowView(sweep).sync().is_complete
    home = sweep.home.with_name(name)
    shutil.move(sweep.home, home)
    # MLflow remembers for the life of a process where it has put the files of a run.
    _artifact_repos_cache.clear()
    moved = SweepFolder(home / sweep.name)
    second = trained(moved, 1)
    assert MlflowView(moved).sync().is_complete
    client = connect(resolve_tracking_uri(home))
    runs = runs_of(client, moved)
    assert len(runs) == 3
    for trial in (first, second):
        assert artifacts(client, runs[trial.id]) == ["spec.json"]
        assert_complete(client, runs[trial.id])
    assert not sweep.home.exists()
    assert sorted(path.name for path in home.parent.iterdir()) == [name]


def test_a_store_of_somebody_else_is_not_corrected(sweep, tmp_path):
    uri = f"sqlite:///{tmp_path}/shared.db"
    shutil.copy(sweep.home / "mlflow.db", tmp_path / "shared.db")
    trained(sweep)
    assert MlflowView(sweep, tracking_uri=uri).sync().is_complete
    other = SweepFolder.create(tmp_path / "other", "masa-9", document={}, clock=Clock())
    trained(other)
    assert MlflowView(other, tracking_uri=uri).sync().is_complete
    found = connect(uri).get_experiment_by_name("sweeper")
    assert found is not None
    assert found.artifact_location == (sweep.home / "mlartifacts" / "sweeper").as_uri()


@pytest.mark.parametrize("before", ["", "import mlflow"])
def test_a_store_that_is_asked_says_nothing_whoever_has_imported_mlflow(
    before, empty_store, tmp_path
):
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    code = (
        f"{before}\nimport sys\nfrom sweeper.tracking.mlflow_view.store import connect\n"
        "connect(sys.argv[1]).search_experiments()"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    done = subprocess.run(
        [sys.executable, "-c", code, uri],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


# Before a sweep starts.


def test_a_server_that_nobody_runs_is_told():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(BadInputError, match=r"store: http://127.0.0.1:\d+ cannot be used"):
        require_store("sweeps", f"http://user:secret@127.0.0.1:{port}")


@pytest.mark.parametrize("uri", ["nonsense://host/x", "postgresql://u:secret@127.0.0.1:1/db?a=b"])
def test_a_store_that_cannot_be_reached_is_told_without_its_password(uri, tmp_path):
    with pytest.raises(BadInputError, match="cannot be used") as told:
        require_store(tmp_path, uri)
    assert "secret" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_a_store_in_a_new_home_is_no_fault_and_nothing_is_made(tmp_path):
    require_store(tmp_path / "new" / "home")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_read_only_is_told(tmp_path, monkeypatch):
    path = tmp_path / "mlflow.db"
    path.touch()
    require_store(tmp_path)
    # Root may write whatever its mode is.
    monkeypatch.setattr(os, "access", lambda asked, _: asked != path)
    with pytest.raises(BadInputError, match=r"mlflow\.db is in the way, or is read-only"):
        require_store(tmp_path)


def test_what_is_in_the_place_of_the_store_is_told(tmp_path):
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(BadInputError, match=r"mlflow\.db is in the way"):
        require_store(tmp_path)
    (tmp_path / "mlflow.db").rmdir()
    os.mkfifo(tmp_path / "mlflow.db")
    with pytest.raises(BadInputError, match=r"mlflow\.db is in the way"):
        require_store(tmp_path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(BadInputError, match="file is in the way"):
        require_store(file / "sweeps")
