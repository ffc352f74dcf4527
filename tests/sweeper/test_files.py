"""Files that survive a crash: put whole, appended, locked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweeper._files import FileLock, put_whole, write_text


def test_a_torn_lock_file_still_has_an_owner_to_name(tmp_path):
    path = tmp_path / "lock"
    path.write_text('{"pid": 1')
    assert FileLock(path).owner() == "another process"


def test_releasing_a_lock_that_is_not_held_does_nothing(tmp_path):
    with FileLock(tmp_path / "lock") as lock:
        pass
    lock.release()
    assert lock.acquire()
    lock.release()


def test_a_failed_replacement_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_text(path, "old")

    def fail(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr("sweeper._files.os.fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["record.json"]


def test_files_written_are_readable_by_the_group(tmp_path):
    path = tmp_path / "file"
    old_mask = os.umask(0o022)
    try:
        write_text(path, "text")
    finally:
        os.umask(old_mask)
    assert Path(path).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_is_put_whole_replaces_the_old(tmp_path, is_folder):
    target = tmp_path / "target"
    for text in ("old", "new"):
        with put_whole(target) as unfinished:
            fill(unfinished, text, is_folder=is_folder)
    assert content(target) == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_fails_half_way_leaves_the_old_and_nothing_else(tmp_path, is_folder):
    target = tmp_path / "target"
    with put_whole(target) as unfinished:
        fill(unfinished, "old", is_folder=is_folder)

    def fail():
        with put_whole(target) as unfinished:
            fill(unfinished, "new", is_folder=is_folder)
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        fail()
    assert content(target) == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_of_several_writers_the_first_can_be_kept(tmp_path):
    target = tmp_path / "target"
    with put_whole(target, keeps_first=True) as late:
        fill(late, "late", is_folder=True)
        with put_whole(target, keeps_first=True) as early:
            fill(early, "early", is_folder=True)
    assert content(target) == "early"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("is_there", [False, True])
def test_one_writer_tidies_up_after_a_killed_one(tmp_path, is_there):
    target = tmp_path / "target"
    if is_there:
        fill(target, "new", is_folder=True)
    # A killed writer had moved the old folder away, and perhaps put the new one in its place.
    fill(tmp_path / ".target.one.replaced", "old", is_folder=True)
    fill(tmp_path / ".target.one.unfinished", "cut", is_folder=True)
    with put_whole(target, has_one_writer=True) as unfinished:
        assert content(target) == ("new" if is_there else "old")
        assert not unfinished.exists()
        fill(unfinished, "next", is_folder=True)
    assert content(target) == "next"
    assert list(tmp_path.iterdir()) == [target]


def fill(path, text, *, is_folder):
    if is_folder:
        path.mkdir()
        path = path / "file"
    path.write_text(text)


def content(path):
    return (path / "file" if path.is_dir() else path).read_text()
