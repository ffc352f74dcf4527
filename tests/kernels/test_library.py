"""The compiled library is loaded only from where nobody else can have written it."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path

import pytest

from sweeper_kernels.native import _library

PLANTED = """
#include <stdio.h>
__attribute__((constructor)) static void run(void) { fclose(fopen("%s", "w")); }
"""
FOREIGN = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The cache's folder, with a library in it whose loading would leave a trace."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # Unloaded: the loader would know the file again by its name.
    with monkeypatch.context() as unloaded:
        unloaded.setattr("ctypes.CDLL", Path)
        path = _library._load()
    source = tmp_path / "planted.c"
    source.write_text(PLANTED % (tmp_path / "trace"))
    made = tmp_path / "planted.so"
    compiler = _library._find_compiler()
    subprocess.run([*compiler, "-shared", "-fPIC", source, "-o", made], check=True)
    made.replace(path)
    path.chmod(0o755)
    assert path.parent == tmp_path / "sweeper_kernels"
    return path.parent


def kept(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


def give_away(path: Path) -> None:
    os.chown(path, FOREIGN, FOREIGN)


def make_link(path: Path) -> None:
    target = path.parent.parent / f"{path.name}-moved"
    path.rename(target)
    path.symlink_to(target)


FILES = {
    "writable by the group": lambda path: path.chmod(0o775),
    "writable by all": lambda path: path.chmod(0o757),
    "a link": make_link,
    "of another user": give_away,
}
FOLDERS = {
    "a link": (make_link, "is a link"),
    "of another user": (give_away, f"belongs to user {FOREIGN}"),
    "below one of another user": (
        lambda path: give_away(path.parent),
        f"belongs to user {FOREIGN}",
    ),
    "below one that others can write": (
        lambda path: path.parent.chmod(0o777),
        "can be written by others",
    ),
}


def marked(names):
    return [pytest.param(name, marks=as_root if "another user" in name else []) for name in names]


def test_a_library_that_is_ours_is_loaded(folder):
    """So that the tests below can fail."""
    _library._load()
    assert (folder.parent / "trace").exists()


@pytest.mark.parametrize("how", marked(FILES))
def test_a_library_that_others_can_have_written_is_made_anew(folder, how):
    FILES[how](kept(folder))
    assert _library._load().sweeper_add_float
    assert not (folder.parent / "trace").exists()
    assert _library._is_ours(kept(folder))


@pytest.mark.parametrize("how", marked(FOLDERS))
def test_a_folder_that_others_can_have_written_is_not_used(folder, caplog, how):
    spoil, reason = FOLDERS[how]
    spoil(folder)
    with caplog.at_level(logging.WARNING):
        assert _library._load().sweeper_add_float
    assert not (folder.parent / "trace").exists()
    [message] = [record.getMessage() for record in caplog.records]
    assert reason in message
    assert "XDG_CACHE_HOME" in message


def test_the_folder_becomes_ours_alone_whatever_the_umask(folder):
    kept(folder).unlink()
    folder.chmod(0o777)
    before = os.umask(0)
    try:
        _library._load()
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert kept(folder).stat().st_mode & 0o777 == 0o700
