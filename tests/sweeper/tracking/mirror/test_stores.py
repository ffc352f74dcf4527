"""One contract for all stores: S3 of a server on this machine, a folder, a kind of fsspec."""

import threading
import uuid
from collections.abc import Iterator

import pytest

from sweeper.errors import BadInputError
from sweeper.tracking.mirror.lease import Lease, Owner, newest_claim
from sweeper.tracking.mirror.stores import FolderStore, Store, StoreError, open_store
from sweeper.tracking.mirror.working_copy import WorkingCopy
from tests.sweeper.s3 import s3_server

# S3 takes parts of 5 MiB: this is more than one of them.
LARGE = bytes(range(256)) * 45_000


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(params=["s3", "folder", "fsspec"])
def store(request, tmp_path) -> Store:
    place = uuid.uuid4().hex
    if request.param == "s3":
        request.getfixturevalue("s3")
        return open_store(f"s3://bucket/{place}/sweeps")
    if request.param == "fsspec":
        return open_store(f"memory://{place}/sweeps")
    folder = tmp_path / "sweeps with a space"
    folder.mkdir()
    return open_store(folder.as_uri())


def test_what_is_put_is_there_whole_and_what_is_not_is_none(store):
    assert store.get("a/b/one.json") is None
    assert not store.has("a/b/one.json")
    assert store.listing("a") == {}
    assert store.folders() == []
    store.put("a/b/one.json", b"1")
    store.put("a/b/one.json", b"22")
    store.put("a/empty", b"")
    store.put("c/large", LARGE)
    assert store.get("a/b/one.json") == b"22"
    assert store.has("a/b/one.json")
    assert store.get("a/empty") == b""
    assert store.get("c/large") == LARGE
    assert {key: stat.size for key, stat in store.listing("a").items()} == {
        "a/b/one.json": 2,
        "a/empty": 0,
    }
    assert set(store.listing("")) == {"a/b/one.json", "a/empty", "c/large"}
    assert store.folders() == ["a", "c"]


def test_what_is_removed_is_gone_and_its_neighbours_stay(store):
    for key in ("a/b/1", "a/b/c/2", "a/bc/3"):
        store.put(key, b"x")
    store.delete("a/b/1")
    store.delete("a/b/1")
    assert set(store.listing("a")) == {"a/b/c/2", "a/bc/3"}
    store.delete_below("a/b")
    store.delete_below("nothing/there")
    assert set(store.listing("a")) == {"a/bc/3"}


def test_the_lease_works_on_it(store):
    far = Owner(host="far", pid=7, machine="another", started="1")
    first = Lease(store, "night", owner=far, beat_s=0.05)
    first.acquire()
    assert newest_claim(store, "night") == (first.claim, "process 7 on far")
    stopping = threading.Event()

    def live():
        while not stopping.wait(0.01):
            first.beat()

    thread = threading.Thread(target=live)
    thread.start()
    second = Lease(store, "night", owner=far, beat_s=2.0)
    with pytest.raises(BadInputError, match="is being run by process 7 on far"):
        second.acquire()
    stopping.set()
    thread.join()
    second = Lease(store, "night", owner=far, beat_s=0.05)
    second.acquire()
    assert second.before == first.claim


def test_a_sweep_goes_there_and_back(store, tmp_path):
    here = WorkingCopy(tmp_path / "here" / "night", store)
    trial = here.folder / "trials" / "a1"
    trial.mkdir(parents=True)
    (here.folder / "sweep.json").write_text("{}")
    (trial / "spec.json").write_text("{}")
    (trial / "metrics.jsonl").write_text("1\n")
    lease = Lease(store, "night")
    lease.acquire(on_asking=here.note_asked)
    here.synchronise(lease)
    there = WorkingCopy(tmp_path / "there" / "night", store)
    there.follow()
    assert (there.folder / "trials/a1/metrics.jsonl").read_text() == "1\n"
    # Of the same size, and on S3 of the same second.
    (trial / "metrics.jsonl").write_text("2\n")
    here.push_all(lease.require)
    there.follow()
    assert (there.folder / "trials/a1/metrics.jsonl").read_text() == "2\n"


def test_a_server_that_is_away_is_an_error_of_the_store_and_back_it_answers(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = open_store("s3://bucket/away")
    for ask in (
        lambda: away.put("x", b"1"),
        lambda: away.get("x"),
        lambda: away.has("x"),
        lambda: away.listing("x"),
        lambda: away.folders(),
        lambda: away.delete("x"),
        lambda: away.delete_below("x"),
    ):
        with pytest.raises(StoreError, match="s3://bucket/away: "):
            ask()


def test_a_bucket_that_is_not_there_is_not_taken_for_an_empty_one(s3):
    with pytest.raises(StoreError, match="there is no bucket 'other'"):
        open_store("s3://other/sweeps").listing("night")
    with pytest.raises(StoreError, match="there is no bucket 'other'"):
        open_store("s3://other/sweeps").folders()


def test_a_disk_that_is_not_mounted_is_not_taken_for_an_empty_one(tmp_path):
    store = FolderStore(tmp_path / "mount" / "sweeps")
    for ask in (
        lambda: store.put("x", b"1"),
        lambda: store.get("x"),
        lambda: store.listing("x"),
        lambda: store.folders(),
    ):
        with pytest.raises(StoreError, match="there is no such folder"):
            ask()
    assert not (tmp_path / "mount").exists()


def test_a_folder_that_cannot_be_written_is_an_error_of_the_store(tmp_path):
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(StoreError, match="File exists"):
        FolderStore(tmp_path).put("a/x", b"1")
    with pytest.raises(StoreError, match="Not a directory"):
        FolderStore(tmp_path).get("a/x")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("s3://key:secret@bucket/x", "it holds a password"),
        ("s3:///x", "no bucket"),
        ("s3://bucket/x?retries=3", "unknown option retries; known: endpoint_override"),
        ("s4://bucket/x", "Protocol not known: s4"),
    ],
)
def test_a_url_that_names_no_store_is_refused_with_what_is_allowed(url, why):
    with pytest.raises(BadInputError, match="s3://bucket/prefix, gs://bucket/prefix") as caught:
        open_store(url)
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)
