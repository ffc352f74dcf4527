"""Files that survive a crash: put whole, appended, locked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper._files import FileLock, append_line, put_whole, read_json, write_bytes, write_text
from sweeper.errors import BadInputError, DamagedFileError


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


# What the dead leave behind.

WRITER = """
import sys, time
from pathlib import Path
from sweeper._files import put_whole
with put_whole(Path(sys.argv[1])) as unfinished:
    unfinished.mkdir()
    (unfinished / "weights").write_bytes(bytes(1000))
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """A process that is in the middle of writing ``target``."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(tmp_path / "target")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        yield process
        process.kill()


def test_what_a_killed_writer_left_is_removed_by_the_next_one_beside_it(tmp_path, writer):
    writer.kill()
    writer.wait()
    assert len(list(tmp_path.iterdir())) == 2
    other = tmp_path / "other"
    with put_whole(other) as unfinished:
        fill(unfinished, "new", is_folder=True)
    assert list(tmp_path.iterdir()) == [other]


def test_what_a_living_writer_is_at_stays(tmp_path, writer):
    before = sorted(path.name for path in tmp_path.iterdir())
    with put_whole(tmp_path / "other") as unfinished:
        fill(unfinished, "new", is_folder=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "other"])


def test_a_folder_that_a_killed_writer_had_moved_away_comes_back(tmp_path, writer):
    writer.kill()
    writer.wait()
    (lock,) = tmp_path.glob(".*.writing")
    fill(lock.with_suffix(".replaced"), "old", is_folder=True)
    with put_whole(tmp_path / "other") as unfinished:
        fill(unfinished, "new", is_folder=True)
    assert content(tmp_path / "target") == "old"


# Links, pipes, and files that are there already.


def test_a_link_is_not_written_through(tmp_path):
    target = tmp_path / "precious"
    target.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(OSError, match="symbolic link, which is not followed"):
        append_line(link, "x")
    with pytest.raises(BadInputError, match=r"link cannot be locked \(it is a symbolic link"):
        FileLock(link).acquire()
    with pytest.raises(DamagedFileError, match="symbolic link"):
        read_json(link)
    assert target.read_text() == "mine"


def test_a_pipe_and_a_device_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(DamagedFileError, match=r"regular file"):
            read_json(path)


def test_of_several_files_the_first_stays(tmp_path):
    path = tmp_path / "file"
    write_bytes(path, b"first", is_first=True)
    with pytest.raises(FileExistsError):
        write_bytes(path, b"second", is_first=True)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_without_second_names_has_a_first_file_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    path = tmp_path / "file"
    write_bytes(path, b"first", is_first=True)
    with pytest.raises(FileExistsError):
        write_bytes(path, b"second", is_first=True)
    assert path.read_text() == "first"
