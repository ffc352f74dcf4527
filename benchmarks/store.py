"""Seconds that a trial waits for its pushes, against moto's S3 server on this machine.

* ``record``: a line of metrics added, and pushed.
* ``evaluation``: the same with a checkpoint of two files and its manifest, the one before the last
  removed.

A store that is far away takes longer by its round trips: about 2 for a record, 8 for an evaluation.
The server is a Python program for tests; it says what the sweeper adds, not what S3 takes.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from sweeper.tracking.mirror.lease import Lease
from sweeper.tracking.mirror.stores import open_store
from sweeper.tracking.mirror.working_copy import WorkingCopy
from tests.sweeper.s3 import s3_server


def main() -> None:
    """Prints the medians and the ranges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--checkpoint-bytes", type=int, default=2_000_000)
    given = parser.parse_args()
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {given.rounds} rounds")
    print(f"Python {platform.python_version()}, pyarrow {pa.__version__}")
    with s3_server(), tempfile.TemporaryDirectory() as place:
        copy = WorkingCopy(Path(place) / "night", open_store("s3://bucket/bench"))
        trial = copy.folder / "trials" / "a1"
        trial.mkdir(parents=True)
        (copy.folder / "sweep.json").write_text("{}")
        (trial / "spec.json").write_text("{}")
        lease = Lease(copy.store, copy.prefix)
        lease.acquire(on_asking=copy.note_asked)
        copy.synchronise(lease)
        unit = copy.trial_unit("a1")

        def push(change: Callable[[int], None]) -> list[float]:
            found = []
            for number in range(given.rounds):
                change(number)
                begin_s = time.perf_counter()
                unit.push(require=lease.require)
                found.append(time.perf_counter() - begin_s)
            return found

        show("record", push(lambda _: add_line(trial)))
        size = given.checkpoint_bytes // 2
        show(
            f"evaluation, {given.checkpoint_bytes:,} bytes",
            push(lambda number: evaluate(trial, number, size=size)),
        )


def add_line(trial: Path) -> None:
    """Adds what a step has measured."""
    with (trial / "metrics.jsonl").open("a") as file:
        file.write("x" * 200 + "\n")


def evaluate(trial: Path, number: int, *, size: int) -> None:
    """Adds a checkpoint, removes the one before the last, and adds a line."""
    folder = trial / "checkpoint" / f"step-{number:08d}"
    folder.mkdir(parents=True)
    for name in ("shared.pt", "rank-0.pt"):
        (folder / name).write_bytes(os.urandom(size))
    (folder / "manifest.json").write_text("{}")
    shutil.rmtree(trial / "checkpoint" / f"step-{number - 2:08d}", ignore_errors=True)
    add_line(trial)


def show(name: str, seconds: list[float]) -> None:
    """Prints a row."""
    low, middle, high = (1e3 * found(seconds) for found in (min, statistics.median, max))
    print(f"{name}: median {middle:.0f} ms, {low:.0f} to {high:.0f}")


if __name__ == "__main__":
    main()
