"""Drills with an unfriendly machine: few descriptors, no terminal, no home, another clock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.drills.checks import check_ended, check_message, check_sweep
from tests.drills.disks import fill, small_disk
from tests.drills.drill import Drill, Reference
from tests.drills.playground import Playground, Skipped

__all__ = ["DRILLS"]

SWEEP = "night"
# Few file descriptors, and a closed standard output.
POOR = ("sh", "-c", 'ulimit -n 256; exec "$@" >&-', "sh")
# Of a Ray that takes what it is given; by itself it wants gigabytes.
SHARED_MEMORY_MB = 64
NOBODY = 65534


def _needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise Skipped(f"{program} is not installed")
    return found


def poor_place(play: Playground, reference: Reference) -> None:
    """Few descriptors, a closed standard output, no terminal, a full home."""
    with small_disk(play.path / "user", megabytes=1):
        fill(play.path / "user", left=0)
        full = str(play.path / "user")
        said = play.say(
            *("run", play.space, "--name", SWEEP),
            before=POOR,
            environment={"HOME": full, "XDG_CACHE_HOME": full, "SWEEPER_CACHE": ""},
        )
        check_message(said, code=1)
    check_sweep(play, SWEEP, reference.outcome())


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
    check_ended(said)
    assert {path.owner() for path in (play.home / SWEEP).rglob("*.json")} == {"nobody"}
    check_sweep(play, SWEEP, wanted)


def _may_run(identity: list[str]) -> bool:
    """Whether a user can run this Python with the sweeper."""
    words = [*identity, sys.executable, "-c", "import sweeper.cli.app"]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


DRILLS = (
    Drill(
        "poor",
        "256 file descriptors, stdout closed, no terminal, a full home",
        poor_place,
    ),
    Drill("user", "a user who is not root, 64 MB of /dev/shm", other_user),
)
