"""Sweeps with a limit and faults, simulated: how many take more time than they may.

Each has 6 to 40 trials on 1 to 4 replicas, that take up to 30 % more or less than they should,
all by up to a fifth more or less than forecast, and one in twenty three times as long. Replicas and
drivers die every other hour. A limit is 0.3 to 1.3 times the forecast. A sweep is resumed until it
has ended, or nothing more can be begun.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks._bench import document, machine, write
from benchmarks.limits.simulating import Setting, simulate

SWEEPS = 200


def main() -> int:
    """Runs the bench; returns 1 if a sweep has taken more than it may."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sweeps", type=int, default=SWEEPS)
    given = parser.parse_args()
    before, found = machine(), []
    for seed in range(given.sweeps):
        with tempfile.TemporaryDirectory() as folder:
            found.append(simulate(seed, Path(folder), Setting()))
    rows = [vars(outcome) for outcome in found]
    over = [one for one in found if one.used_s > one.limit_s]
    least = min((one.limit_s - one.used_s for one in found), default=0.0)
    cut, ended = sum(one.cut for one in found), sum(one.ended for one in found)
    used = statistics.median(one.used_s / one.limit_s for one in found)
    print(
        f"{len(found)} sweeps, {sum(one.runs for one in found)} runs: "
        f"{len(over)} over their limit; "
        f"nearest to it {least:.1f} s; {100 * used:.0f} % of the time used (median); "
        f"{ended} trials ended, {cut} were interrupted for want of time"
    )
    result = document(
        "limits",
        rows=rows,
        seeds={"first": 0},
        settings=vars(Setting()),
        machine=before,
    )
    print(write(result, is_whole=given.sweeps == SWEEPS))
    return int(bool(over))


if __name__ == "__main__":
    sys.exit(main())
