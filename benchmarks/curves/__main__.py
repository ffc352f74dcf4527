"""Trains the table of learning curves through the pool, and packs it.

One sweep for each seed and size: all sizes of the first seed, then of the next. After each whole
seed the table is written, so that a table of fewer seeds is there when the rest takes too long.
What was interrupted goes on where it was when the command is given again.

Tables of another model, or of a part of the methods, rates and sizes, have a name of their own, and
lie beside the first one as ``curves-NAME.npz``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.curves.joining import joined, of_seeds
from benchmarks.curves.packing import pack
from benchmarks.curves.table import PATH, read_table, write_table
from sweeper.errors import BadInputError
from sweeper.experiment.documents.tree import Json
from sweeper.experiment.documents.yaml_files import read_yaml
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper_adapters.methods import label_of

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
    profile: str | None = None
    """Of every sweep; the space's own where None."""
    model: str | None = None
    """What the table calls a model that lies in a folder; the folder's name where None."""

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
        profile = [] if self.profile is None else ["--profile", self.profile]
        return [*start, "run", str(SPACE), "--name", folder.name, *home, *profile, *settings]

    def train(self, seed: int, rank: int) -> None:
        """Runs a sweep to its end, if it has not come to it; ends the process where it does not."""
        folder = self.folder(seed, rank)
        if folder.exists() and SweepFolder(folder).status == "complete":
            return
        if seed in self.kept_seeds():
            return
        command = self.command(seed, rank)
        print("$", " ".join(command), flush=True)
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code not in ENDED or SweepFolder(folder).status != "complete":
            sys.exit(f"{folder.name} has not come to its end (exit {code}); run this again")

    def kept_seeds(self) -> tuple[int, ...]:
        """Returns the seeds that the table has, and no sweep of this machine."""
        if not self.path.exists():
            return ()
        seeds = read_table(self.path).about.seeds
        return tuple(x for x in seeds if not any(self.folder(x, y).exists() for y in self.ranks))

    def pack(self, seeds: int) -> None:
        """Packs the first seeds, and says what is in the table and what is not.

        Those that the table has from another machine are taken over.
        """
        kept = [seed for seed in self.kept_seeds() if seed < seeds]
        pairs = itertools.product([x for x in range(seeds) if x not in kept], self.ranks)
        folders = [self.folder(seed, rank) for seed, rank in pairs]
        if not folders:
            return
        packed = pack(folders, model=self.model)
        table = packed.table
        if kept:
            table = joined(of_seeds(read_table(self.path), kept), table)
        size_bytes = write_table(self.path, table)
        diverged = int((table.steps < table.about.evaluation_steps[-1]).sum())
        print(
            f"{self.path}: {len(table.method)} trials ({diverged} diverged) of "
            f"{len(table.cells)} whole configurations, {seeds} seeds, {size_bytes:,} bytes"
        )
        for sentence in packed.left_out:
            print(f"left out: {sentence}")


def plan_of(given: argparse.Namespace) -> Plan:
    """Returns what the options of the command ask for.

    Raises:
        BadInputError: they do not go together, or name what the space does not have.
    """
    overrides = [*(given.set or ())]
    if given.model is not None:
        folder = json.dumps({"kind": "folder", "path": str(given.model.absolute())})
        overrides.insert(0, f"model={folder}")
    if given.rates is not None:
        overrides.insert(0, f"design.factors.train.learning_rate=[{given.rates}]")
    if given.methods is not None:
        overrides.insert(0, f"methods={json.dumps(_entries(given.methods.split(',')))}")
    name = given.name or given.profile or (given.model.absolute().name if given.model else None)
    ranks = given.sizes or RANKS
    if given.quick:
        home, path = ROOT / "sweeps" / "curves-quick", ROOT / "build" / "curves-quick.npz"
        plan = Plan(home, path, QUICK_RANKS, given.seeds or QUICK_SEEDS, (*QUICK, *overrides))
    elif name is None:
        if overrides or ranks != RANKS:
            raise BadInputError(
                "curves: got methods, rates, sizes or settings of another table than that of the "
                "repository; such a table has a name of its own; give --name"
            )
        plan = Plan(ROOT / "sweeps" / "curves", PATH, RANKS, given.seeds or SEEDS)
    else:
        home, path = ROOT / "sweeps" / f"curves-{name}", PATH.with_name(f"curves-{name}.npz")
        seeds = given.seeds or SEEDS
        plan = Plan(home, path, ranks, seeds, tuple(overrides), given.profile, model=given.name)
    return plan if given.home is None else replace(plan, home=given.home.absolute())


def _entries(labels: Sequence[str]) -> list[Json]:
    """Returns the entries of some methods of the space, in its order."""
    entries = read_yaml(SPACE)["methods"]
    assert isinstance(entries, list)
    known = {label_of(entry): entry for entry in entries if isinstance(entry, dict)}
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise BadInputError(
            f"curves: got the methods {', '.join(unknown)}; allowed are {', '.join(known)}; name "
            "some of them"
        )
    return [entry for label, entry in known.items() if label in labels]


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(part) for part in text.split(",")}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 methods, 3 rates, 24 steps")
    parser.add_argument("--seeds", type=int, choices=range(1, SEEDS + 1), help="only the first")
    parser.add_argument("--profile", help="name or file of another profile")
    parser.add_argument("--model", type=Path, help="folder of another model")
    parser.add_argument("--methods", help="only these, as lora,masa")
    parser.add_argument("--rates", help="these learning rates, as 1e-4,1e-3")
    parser.add_argument("--sizes", type=_sizes, help="these sizes, as 8,32")
    parser.add_argument("--set", action="append", help="path=value of every sweep")
    parser.add_argument("--name", help="of the table [the profile's, or the model's]")
    parser.add_argument("--home", type=Path, help="folder of the sweeps [sweeps/curves…]")
    parser.add_argument("--fresh", action="store_true", help="remove the sweeps first")
    parser.add_argument("--pack", action="store_true", help="train nothing; pack what is there")
    parser.add_argument("--dry", action="store_true", help="only print the commands and the file")
    return parser


def main() -> None:
    """Trains what is missing and packs it."""
    given = _parser().parse_args()
    try:
        plan = plan_of(given)
        if given.dry:
            for seed, rank in itertools.product(range(plan.seeds), plan.ranks):
                print("$", shlex.join(plan.command(seed, rank)))
            print(plan.path)
            return
        if given.fresh:
            shutil.rmtree(plan.home, ignore_errors=True)
        os.nice(NICENESS)
        for seed in range(plan.seeds):
            for rank in plan.ranks:
                if not given.pack:
                    plan.train(seed, rank)
            plan.pack(seed + 1)
    except BadInputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
