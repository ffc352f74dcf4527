"""Drills with an unfriendly machine: few descriptors, no terminal, no home, another clock."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from tests.drills.checks import check_message, check_sweep
from tests.drills.disks import fill, small_disk
from tests.drills.drill import Drill, Reference
from tests.drills.playground import Playground, Skipped

__all__ = ["DRILLS"]

SWEEP = "night"
DESCRIPTORS = 256
BACK = "-3h"
# Of a Ray that takes what it is given; by itself it wants gigabytes.
SHARED_MEMORY_MB = 64
NOBODY = 65534
# Bytes that the path of a socket may have on Linux, its end included.
SOCKET_PATH = 108


def _few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


def _needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise Skipped(f"{program} is not installed")
    return found


def poor_place(play: Playground, reference: Reference) -> None:
    """Few descriptors, a closed standard output and a home that nobody can write; then a kill."""
    wanted = reference.outcome()
    closed = Path("/proc/self")
    run = play.start(
        *("run", play.space, "--name", SWEEP),
        environment={"HOME": str(closed), "XDG_CACHE_HOME": str(closed), "SWEEPER_CACHE": ""},
        prepare=_few_descriptors,
        is_deaf=True,
    )
    play.wait_for_progress(run, SWEEP, low=0.36, high=0.8)
    run.kill()
    with small_disk(play.path / "user", megabytes=1):
        fill(play.path / "user", left=0)
        full = str(play.path / "user")
        said = play.say(
            *("resume", SWEEP),
            environment={"HOME": full, "XDG_CACHE_HOME": full, "SWEEPER_CACHE": ""},
            prepare=_few_descriptors,
            is_deaf=True,
        )
        check_message(said, code=1)
    check_sweep(play, SWEEP, wanted, attempts=2)


def clock_set_back(play: Playground, reference: Reference) -> None:
    """The clock is set back between a kill and the resume; no time of a trial becomes negative."""
    faketime = _needed("faketime")
    wanted = reference.outcome()
    run = play.start("run", play.space, "--name", SWEEP, "--json")
    play.wait_for_progress(run, SWEEP, low=0.36, high=0.8)
    run.kill()
    # Without the second, a clock that only measures would be set back, too: no machine does that.
    monotonic = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    resume = ("resume", SWEEP, "--json")
    said = play.say(*resume, before=(faketime, "-f", BACK), environment=monotonic)
    check_message(said, code=1)
    check_sweep(play, SWEEP, wanted, attempts=2)
    for record in play.records(SWEEP):
        assert record.wall_time_s >= 0, record
        assert record.overhead_s >= 0, record


def other_user(play: Playground, reference: Reference) -> None:
    """A user who is not root, with little shared memory for Ray's objects."""
    if os.geteuid() != 0:
        raise Skipped("only root may become another user, and mount")
    setpriv, unshare = _needed("setpriv"), _needed("unshare")
    wanted = reference.outcome()
    identity = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    if not _may_run(identity):
        # The interpreter lies in root's own home: the user may read it all the same, and no more.
        identity += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        play.notes.append("the other user may read all files: the interpreter is in root's home")
        if not _may_run(identity):
            raise Skipped("another user cannot run this Python")
    for folder in (play.path, play.home):
        folder.chmod(0o777)
    (play.path / "tmp").mkdir()
    (play.path / "tmp").chmod(0o777)
    for path in play.home.iterdir():
        path.chmod(0o666)
    mount = f"mount -t tmpfs -o size={SHARED_MEMORY_MB}m,mode=1777 tmpfs /dev/shm"
    place = [unshare, "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *identity]
    user = str(play.path / "tmp")
    said = play.say(
        *("run", play.space, "--name", SWEEP, "--json"),
        before=place,
        environment={"HOME": user, "RAY_TMPDIR": user, "SWEEPER_CACHE": f"{user}/cache"},
    )
    check_message(said, code=1)
    assert {path.owner() for path in (play.home / SWEEP).rglob("*.json")} == {"nobody"}
    check_sweep(play, SWEEP, wanted)


def _may_run(identity: list[str]) -> bool:
    """Whether a user can run this Python with the sweeper."""
    words = [*identity, sys.executable, "-c", "import sweeper.cli.app"]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def long_folder(play: Playground, reference: Reference) -> None:
    """A folder for temporary files whose path is longer than that of a socket may be."""
    folder = play.path / ("long" * SOCKET_PATH)[: SOCKET_PATH - 8]
    folder.mkdir()
    run = ("run", play.space, "--name", SWEEP, "--json")
    said = play.say(*run, environment={"TMPDIR": str(folder)})
    if said.code == 2:
        check_message(said, "TMPDIR", code=2)
        return
    check_message(said, code=1)
    check_sweep(play, SWEEP, reference.outcome())


DRILLS = (
    Drill(
        "poor",
        "256 file descriptors, stdout closed, no terminal, a read-only home, then a full one",
        poor_place,
    ),
    Drill("clock", "the clock set back by 3 hours before a resume", clock_set_back),
    Drill("user", "a user who is not root, 64 MB of /dev/shm", other_user),
    Drill("tmpdir", "a TMPDIR too long for a socket's path", long_folder),
)
