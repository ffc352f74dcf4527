"""The commit of a working folder, found without running what its repository names."""

from __future__ import annotations

import os
import platform
import subprocess

import pytest

from sweeper.tracking.provenance import (
    data_fingerprint,
    git_state,
    machine,
    note_data,
    user_of,
)


@pytest.fixture
def repository(tmp_path):
    """A repository with one file, and a way to run git in it."""
    folder = tmp_path / "repository"
    folder.mkdir()

    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        command = ["git", *identity, *arguments]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    (folder / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    return folder, git


@pytest.fixture
def trap(tmp_path):
    """A program that leaves a file behind where it is run."""
    program = tmp_path / "trap"
    program.write_text(f"#!/bin/sh\necho ran >> {tmp_path / 'ran'}\ncat\n")
    program.chmod(0o755)
    return program


def test_the_commit_and_whether_a_file_is_changed(repository):
    folder, git = repository
    state = git_state(folder)
    assert state is not None
    assert (state.commit, state.is_dirty) == (git("rev-parse", "HEAD"), False)
    (folder / "file").write_text("2")
    state = git_state(folder)
    assert state is not None
    assert state.is_dirty
    assert git_state(folder.parent) is None


def test_names_that_are_no_utf_8(repository):
    folder, git = repository
    name = os.fsdecode(b"caf\xe9")
    (folder / name).write_text("1")
    git("add", name)
    git("commit", "-q", "-m", "second")
    git("config", "core.quotepath", "false")
    with (folder / ".git" / "config").open("ab") as file:
        file.write(b'[filter "\xe9"]\n\tclean = cat\n')
    (folder / name).write_text("2")
    state = git_state(folder)
    assert state is not None
    assert state.is_dirty


@pytest.mark.parametrize(
    "settings",
    [
        {"core.fsmonitor": "TRAP"},
        {"core.fsmonitor": "TRAP", "core.fsmonitorHookVersion": "1"},
        {"filter.a=b.clean": "TRAP", "filter.a=b.required": "true"},
        {"filter.a=b.process": "TRAP"},
    ],
    ids=lambda settings: "+".join(settings),
)
def test_no_program_of_a_foreign_repository_is_run(repository, trap, settings):
    folder, git = repository
    for name, value in settings.items():
        git("config", name, value.replace("TRAP", str(trap)))
    (folder / ".gitattributes").write_text("* filter=a=b\n")
    # Of the same size and another time than git remembers, so that it has to look into the file.
    (folder / "file").write_text("2")
    os.utime(folder / "file", (0, 0))
    state = git_state(folder)
    assert state is not None
    assert state.is_dirty
    assert not (trap.parent / "ran").exists()
    # Without care it does run.
    subprocess.run(["git", "status"], cwd=folder, capture_output=True, check=False, input=b"")
    assert (trap.parent / "ran").exists()


def test_the_machine_is_described_without_its_name():
    found = machine()
    assert platform.machine() in found["system"]
    assert str(os.cpu_count()) in found["processor"]
    assert platform.node() not in " ".join(found.values())


def test_which_rows_a_sweep_sees_is_noted(tmp_path):
    assert data_fingerprint(tmp_path) == ""
    note_data(tmp_path, "a" * 64)
    assert data_fingerprint(tmp_path) == "a" * 64
    (tmp_path / "data.json").write_text("{")
    # The next driver notes it again.
    assert data_fingerprint(tmp_path) == ""


def test_the_user_is_the_folders_owner(tmp_path, monkeypatch):
    assert user_of(tmp_path) == tmp_path.owner()

    def nobody(self):
        raise KeyError("no such number")

    monkeypatch.setattr(type(tmp_path), "owner", nobody)
    monkeypatch.setenv("LOGNAME", "me")
    assert user_of(tmp_path) == "me"
