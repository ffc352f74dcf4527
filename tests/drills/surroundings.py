"""Drills with an unfriendly machine: few descriptors, no terminal, no home, another clock."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

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
    for folder in (play.path, play.home):
        folder.chmod(0o777)
    (play.path / "tmp").mkdir()
    (play.path / "tmp").chmod(0o777)
    for path in play.home.iterdir():
        path.chmod(0o666)
    mounts = f"mount -t tmpfs -o size={SHARED_MEMORY_MB}m,mode=1777 tmpfs /dev/shm"
    mounts = " && ".join([mounts, *_opened_interpreter(play.path / "python")])
    identity = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    place = [unshare, "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh", *identity]
    if not _may_run(place):
        raise Skipped("another user cannot run this Python")
    user = str(play.path / "tmp")
    said = play.say(
        *("run", play.space, "--name", SWEEP, "--json"),
        before=place,
        environment={"HOME": user, "RAY_TMPDIR": user, "SWEEPER_CACHE": f"{user}/cache"},
    )
    check_ended(said)
    assert {path.owner() for path in (play.home / SWEEP).rglob("*.json")} == {"nobody"}
    check_sweep(play, SWEEP, wanted)


def _opened_interpreter(kept: Path) -> list[str]:
    """Returns what mounts the interpreter where another user finds it: it may be in root's home.

    Args:
        kept: a new folder, which holds it while its place is made anew.
    """
    prefix = Path(sys.base_prefix).resolve()
    private = [x for x in reversed(prefix.parents) if not x.stat().st_mode & stat.S_IXOTH]
    if not private:
        return []
    kept.mkdir()
    inside, outside = shlex.quote(str(prefix)), shlex.quote(str(kept))
    return [
        f"mount --bind {inside} {outside}",
        f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(private[0]))}",
        f"mkdir -p {inside}",
        f"mount --bind {outside} {inside}",
    ]


def _may_run(place: Sequence[str]) -> bool:
    """Whether this Python runs there with the sweeper."""
    words = [*place, sys.executable, "-c", "import sweeper.cli.app"]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


DRILLS = (
    Drill(
        "poor",
        "256 file descriptors, stdout closed, no terminal, a full home",
        poor_place,
    ),
    Drill("user", "a user who is not root, 64 MB of /dev/shm", other_user),
)
