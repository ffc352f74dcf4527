"""Fault drills: every fault at a random moment, some rounds of all of them, and a table.

python -m tests.drills [--rounds 3] [--only NAME …] [--seed N] [--at-once 2] [--write]
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys

from rich.console import Console

# What every test relies on, too: no network, one thread, a cache of its own.
import tests.conftest  # noqa: F401
from tests.drills import damage, disks, processes, stores, surroundings, together, training
from tests.drills.drill import Drill, Row, run_drills
from tests.drills.table import PAGE, page, table

DRILLS: tuple[Drill, ...] = (
    *damage.DRILLS,
    *processes.DRILLS,
    *stores.DRILLS,
    *disks.DRILLS,
    *training.DRILLS,
    *together.DRILLS,
    *surroundings.DRILLS,
)


def main() -> int:
    """Runs the drills; returns 1 where a fault was found."""
    names = [drill.name for drill in DRILLS]
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description="Fault drills.")
    parser.add_argument("--rounds", type=int, default=3, help="how often (3)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        default=names,
        metavar="NAME",
        help=f"of {', '.join(names)}",
    )
    parser.add_argument("--seed", type=int, help="of all moments; a new one where it is not given")
    parser.add_argument("--at-once", type=int, default=2, help="drills side by side (2)")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}, too")
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(10_000) if asked.seed is None else asked.seed
    out = Console()
    out.print(f"Seed {seed}: --seed {seed} repeats these moments.")
    chosen = [drill for drill in DRILLS if drill.name in asked.only]
    found = run_drills(
        chosen,
        rounds=asked.rounds,
        seed=seed,
        at_once=asked.at_once,
        tell=lambda line: out.print(line, markup=False, highlight=False),
    )
    out.print(table(found.rows))
    out.print(f"{found.total_s / 60:.1f} min", highlight=False)
    if asked.write:
        run = {row.drill.name: row for row in found.rows}
        # What was not asked for is shown as not run.
        rows = [run.get(drill.name, Row(drill)) for drill in DRILLS]
        PAGE.write_text(page(dataclasses.replace(found, rows=rows)), encoding="utf-8")
        out.print(f"Written: {PAGE}")
    return int(any(run.result == "fault" for row in found.rows for run in row.runs))


if __name__ == "__main__":
    sys.exit(main())
