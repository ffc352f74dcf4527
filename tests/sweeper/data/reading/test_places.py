"""What a path leads to, whatever it leads to."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from sweeper.data.reading.places import (
    data_path,
    digest_files,
    require_file,
    unread_files,
    unread_message,
    what_is_at,
)
from sweeper.errors import DataError


def test_what_there_is(tmp_path):
    (tmp_path / "file").write_text("a")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    found = [what_is_at(tmp_path / name) for name in ("file", "link", "dangling", "file/below")]
    assert found == ["file", "file", "nothing", "nothing"]
    assert what_is_at(tmp_path) == "folder"


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(tmp_path)
        server.bind("socket")
        places = {tmp_path / "fifo": "FIFO", tmp_path / "socket": "socket", "/dev/zero": "device"}
        for path, what in places.items():
            for look in (what_is_at, require_file):
                with pytest.raises(DataError, match=f"is a {what}; .*copy what it gives"):
                    look(Path(path))
    with pytest.raises(DataError, match="is a folder; a file with rows is needed"):
        require_file(tmp_path)
    with pytest.raises(DataError, match="cannot be looked at"):
        what_is_at(tmp_path / ("n" * 300))


@pytest.mark.parametrize("text", ["~nobody-of-this-name/data", "a\0b", "a\ud83d"])
def test_what_cannot_be_a_path(text):
    with pytest.raises(DataError, match="cannot be a path of data"):
        data_path(text)


def test_a_home_and_a_root(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_path("~/a") == tmp_path / "a"
    assert data_path("a", root=tmp_path) == tmp_path / "a"
    assert data_path("/a", root=tmp_path) == Path("/a")


def test_a_digest_is_of_name_size_and_bytes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"xyz")
    digest = hashlib.sha256()
    digest_files(digest, [("train", path)])
    assert digest.hexdigest() == hashlib.sha256(b"train\x003\x00xyz").hexdigest()


def test_unread_files(tmp_path):
    names = ["train.jsonl", "val.csv", "sub/dev.parquet", "old.jsonl.gz", "notes.txt"]
    for name in [
        *names,
        "README.md",
        "LICENSE",
        ".hidden.jsonl",
        ".git/a.json",
        "run.py",
        "dataset_dict.json",
    ]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a")
    unread = unread_files(tmp_path, read=[tmp_path / "train.jsonl"])
    assert sorted(str(path.relative_to(tmp_path)) for path in unread) == sorted(names[1:])
    assert unread_message(tmp_path, unread, remedy="rename it").endswith(
        "not read: notes.txt, old.jsonl.gz, sub/dev.parquet, val.csv; rename it"
    )
    many = [tmp_path / f"{n}.csv" for n in range(9)]
    assert "4.csv and 4 more; do" in unread_message(tmp_path, many, remedy="do")
