"""Files that survive a crash: put whole, appended, locked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweeper._files import FileLock, write_text


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
