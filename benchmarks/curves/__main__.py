"""Trains the table of learning curves through the pool, and packs it.

One sweep for each seed and size: all sizes of the first seed, then of the next. After each whole
seed the table is written, so that a table of fewer seeds is there when the rest takes too long.
What was interrupted goes on where it was when the command is given again.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.curves.packing import pack
from benchmarks.curves.table import PATH, write_table
from sweeper.errors import BadInputError
from sweeper.tracking.sweep_folder import SweepFolder

ROOT = Path(__file__).parents[2]
SPACE = Path(__file__).parent / "space.yaml"
RANKS = (8, 32)
SEEDS = 3
# Below whatever else the machine does; Ray's processes inherit it.
NICENESS = 10
# What a sweep exits with when its trials have ended, and when some of them diverged.
ENDED = (0, 1)

QUICK_RANKS, QUICK_SEEDS = (8,), 2
QUICK = (
    "methods=[{name: lora}, {name: masa}, {name: masa_control}]",
    "design.factors.train.learning_rate=[6.7e-4, 4.5e-3, 3.0e-2]",
    "train.steps=24",
)


@dataclass(frozen=True)
class Plan:
    """What is trained, and where it is packed into."""

    home: Path
    """Folder of the sweeps."""
    path: Path
    """File of the table."""
    ranks: tuple[int, ...]
    seeds: int
    overrides: tuple[str, ...] = ()
    """Of every sweep, each ``path=value``."""

    def folder(self, seed: int, rank: int) -> Path:
        """Returns the folder of a sweep."""
        return self.home / f"curves-seed{seed}-size{rank}"

    def command(self, seed: int, rank: int) -> list[str]:
        """Returns the command that begins a sweep, or goes on with it."""
        folder = self.folder(seed, rank)
        start = [sys.executable, "-m", "sweeper"]
        home = ["--home", str(self.home)]
        if folder.exists():
            return [*start, "resume", folder.name, *home]
        wanted = (*self.overrides, f"budget.rank={rank}", f"design.first_seed={seed}")
        settings = itertools.chain.from_iterable(("--set", text) for text in wanted)
        return [*start, "run", str(SPACE), "--name", folder.name, *home, *settings]

    def train(self, seed: int, rank: int) -> None:
        """Runs a sweep to its end, if it has not come to it; ends the process where it does not."""
        folder = self.folder(seed, rank)
        if folder.exists() and SweepFolder(folder).status == "complete":
            return
        command = self.command(seed, rank)
        print("$", " ".join(command), flush=True)
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code not in ENDED or SweepFolder(folder).status != "complete":
            sys.exit(f"{folder.name} has not come to its end (exit {code}); run this again")

    def pack(self, seeds: int) -> None:
        """Packs the sweeps of the first seeds, and says what is in the table and what is not."""
        pairs = itertools.product(range(seeds), self.ranks)
        packed = pack([self.folder(seed, rank) for seed, rank in pairs])
        size_bytes = write_table(self.path, packed.table)
        table = packed.table
        diverged = int((table.steps < table.about.evaluation_steps[-1]).sum())
        print(
            f"{self.path}: {len(table.method)} trials ({diverged} diverged) of "
            f"{len(table.cells)} whole configurations, {seeds} seeds, {size_bytes:,} bytes"
        )
        for sentence in packed.left_out:
            print(f"left out: {sentence}")


def main() -> None:
    """Trains what is missing and packs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 methods, 3 rates, 24 steps")
    parser.add_argument("--seeds", type=int, choices=range(1, SEEDS + 1), help="only the first")
    parser.add_argument("--home", type=Path, help="folder of the sweeps [sweeps/curves]")
    parser.add_argument("--fresh", action="store_true", help="remove the sweeps first")
    parser.add_argument("--pack", action="store_true", help="train nothing; pack what is there")
    given = parser.parse_args()
    if given.quick:
        home, path = ROOT / "sweeps" / "curves-quick", ROOT / "build" / "curves-quick.npz"
        plan = Plan(home, path, QUICK_RANKS, given.seeds or QUICK_SEEDS, QUICK)
    else:
        plan = Plan(ROOT / "sweeps" / "curves", PATH, RANKS, given.seeds or SEEDS)
    if given.home is not None:
        plan = Plan(given.home.absolute(), plan.path, plan.ranks, plan.seeds, plan.overrides)
    if given.fresh:
        shutil.rmtree(plan.home, ignore_errors=True)
    os.nice(NICENESS)
    try:
        for seed in range(plan.seeds):
            for rank in plan.ranks:
                if not given.pack:
                    plan.train(seed, rank)
            plan.pack(seed + 1)
    except BadInputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
