"""Drills with disks that are full."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.drills.checks import check_ended, check_message, check_sweep
from tests.drills.drill import Drill, Reference
from tests.drills.here import Here
from tests.drills.playground import EVERY, STEP_S, Playground, Skipped, wait_for
from tests.sweeper.stores import empty_store

__all__ = ["DRILLS", "fill", "small_disk"]

SWEEP = "night"
# Megabytes of the disk that holds a sweep, and bytes that are left on it when it fills.
DISK_MB = 48
LEFT = 1 << 16
# Seconds of a step until both replicas train, for the second one starts when the first is ready;
# and from then on, until the disk is full.
WAITING_STEP_S, SLOW_STEP_S = 2.0, 0.3


@contextmanager
def small_disk(path: Path, *, megabytes: int) -> Iterator[None]:
    """Mounts a disk of that size while the body runs.

    Raises:
        Skipped: only root may mount.
    """
    if os.geteuid() != 0:
        raise Skipped("a small disk needs root, who may mount one")
    path.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False)


def fill(disk: Path, *, left: int) -> Path:
    """Fills a disk up to some bytes; returns the file that does."""
    filler = disk / "filler"
    room = shutil.disk_usage(disk).free - left
    with filler.open("wb") as file:
        file.write(bytes(max(0, room)))
    return filler


def _both_train(play: Playground, home: Path) -> bool:
    """Returns whether two trials are in training."""
    found = play.records(SWEEP, home=home)
    return sum(record.status == "running" and record.steps > 0 for record in found) == 2


def full_disk(play: Playground, reference: Reference) -> None:
    """The disk of a sweep with two replicas fills while they train, then has room again."""
    home = play.path / "disk"
    wanted = reference.outcome()
    with small_disk(home, megabytes=DISK_MB):
        shutil.copy(empty_store(), home / "mlflow.db")
        two = ("--set", "resources.max_replicas=2")
        run = play.start("run", play.space, "--name", SWEEP, *two, "--json", home=home)
        play.pace(WAITING_STEP_S)
        wait_for(lambda: _both_train(play, home) or None, lives=run)
        play.pace(SLOW_STEP_S)
        # At once, or after each has had its first checkpoints.
        time.sleep(play.random.uniform(0, 2 * EVERY * SLOW_STEP_S))
        filler = fill(home, left=play.random.randrange(LEFT))
        play.pace(STEP_S)
        said = run.finish()
        check_message(said, code=1)
        told = ("cannot be written", "could not be", "No space left", "disk is full", "are lost")
        assert any(words in said.text for words in told), said.text[-2000:]
        said = Here(home).say("status", SWEEP)
        check_message(said, code=0)
        filler.unlink()
        check_ended(play.say("resume", SWEEP, "--retry-failed", "--json", home=home))
        anew = {key for key, (status, *_) in wanted.items() if status == "failed"}
        # What had no room is lost: a trial may go back to where its checkpoint had room.
        check_sweep(play, SWEEP, wanted, home=home, attempts=3, spare=8, anew=anew)


DRILLS = (Drill("disk", "a full disk under two replicas that train and checkpoint", full_disk),)
