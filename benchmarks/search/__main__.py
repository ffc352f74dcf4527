"""Compares ways of searching on the table of learning curves, in virtual time and without Ray."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks._bench import document, machine, terminal_width, write
from benchmarks.curves.table import PATH, CurveTable, read_table
from benchmarks.search.contestants import BEFORE, CONTESTANTS, DEFAULT, TODAY
from benchmarks.search.page import FIGURE, PAGE, page, plot, rows_of, text
from benchmarks.search.replay import Setting
from benchmarks.search.scoring import Results, score
from benchmarks.search.searching import searches
from sweeper.errors import BadInputError

SEEDS = 200
# Each of the table's seeds is seen by several searches, or nothing is known of their spread.
FEWEST = 12
# Whole trials that a search may spend the steps of: a little more than the packaged search spaces.
TRIALS = 20
# Seconds that a replica of this machine takes to put one adapter in the place of another.
SWAP_S = 0.3
UNLISTED = ("The time of evaluations, of which racing saves a part: here they take none.",)


def setting_of(table: CurveTable, *, trials: int, swap_s: float) -> Setting:
    """Returns what contestants have in common, with seconds in units of the table's median step."""
    whole = table.about.evaluation_steps[-1]
    return Setting(
        budget_steps=trials * whole, swap_steps=swap_s / float(np.median(table.step_time_s))
    )


def about_of(table: CurveTable, setting: Setting, *, seeds: int) -> list[str]:
    """Returns what was searched and on what it ran, a sentence each."""
    about, found = table.about, machine()
    versions = ", ".join(f"{name} {about.versions[name]}" for name in ("torch", "peft", "optuna"))
    return [
        f"The table has {len(about.methods)} methods, {len(about.ranks)} sizes, {len(about.rates)} "
        f"learning rates and {len(about.seeds)} seeds: {len(table.method):,} trainings of "
        f"{about.evaluation_steps[-1]} steps with {len(about.evaluation_steps)} evaluations on "
        f"{len(table.base_validation)} validation rows, {len(table.base_test)} test rows.",
        f"It was trained with {versions}.",
        f"Each way made {seeds} searches of {setting.budget_steps:,} steps; a swap of adapters "
        f"takes the time of {setting.swap_steps:.0f} steps.",
        f"The bench ran on {found['cpus']} cores of an {found['cpu']}.",
    ]


def write_all(results: Results, table: CurveTable, setting: Setting, *, seeds: int) -> None:
    """Writes the page, its figure and the figures behind it."""
    said = about_of(table, setting, seeds=seeds)
    PAGE.write_text(page(results, about=said, unlisted=UNLISTED), encoding="utf-8")
    plot(results, FIGURE)
    result = document(
        "search",
        rows=rows_of(results),
        seeds={"searches": seeds},
        settings={
            "budget_steps": setting.budget_steps,
            "swap_steps": setting.swap_steps,
            "replicas": setting.replicas,
            "steps": list(results.steps),
            "equal_steps": results.equal_steps,
            "defaults": [BEFORE, DEFAULT],
            "changes": [{"steps": at, **asdict(x)} for at, x in results.changes.items()],
            "sweeps": [dict(sweep) for sweep in table.about.sweeps],
        },
        machine=machine(),
    )
    for path in (PAGE, FIGURE, write(result, is_whole=True)):
        print(path)


def main() -> None:
    """Runs the bench, prints its table and, where asked to, writes its page."""
    names = [contestant.name for contestant in CONTESTANTS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=PATH, help="file of the curves")
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help=f"searches of each, from {FEWEST} on"
    )
    parser.add_argument("--trials", type=int, default=TRIALS, help="budget, in whole trials")
    parser.add_argument("--swap-s", type=float, default=SWAP_S, help="seconds of a swap")
    parser.add_argument("--only", nargs="+", choices=names, help="these, besides today's")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--write", action="store_true", help="write the page of measurements")
    given = parser.parse_args()
    if given.seeds < FEWEST or given.trials < 1 or given.swap_s < 0:
        parser.error(f"--seeds must be at least {FEWEST}, --trials 1, --swap-s 0")
    if given.write and (given.only or given.seeds < SEEDS or given.table != PATH):
        parser.error("--write is of the whole bench; leave --only, --seeds and --table out")
    chosen = [name for name in names if given.only is None or name in (*given.only, TODAY)]
    if len(chosen) < 2:
        parser.error(f"--only names {TODAY} alone, with which the others are compared; add another")
    try:
        table = read_table(given.table)
    except BadInputError as error:
        sys.exit(f"error: {error}")
    setting = setting_of(table, trials=given.trials, swap_s=given.swap_s)
    courses = searches(
        chosen, seeds=given.seeds, path=given.table, setting=setting, processes=given.at_once
    )
    results = score(
        table,
        courses,
        notes={contestant.name: contestant.note for contestant in CONTESTANTS},
        today=TODAY,
        budget_steps=setting.budget_steps,
        defaults=(BEFORE, DEFAULT),
    )
    print("\n".join(about_of(table, setting, seeds=given.seeds)), end="\n\n")
    print(text(results, width=terminal_width()))
    if given.write:
        write_all(results, table, setting, seeds=given.seeds)


if __name__ == "__main__":
    main()
