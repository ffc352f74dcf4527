"""What drills have shown, as a table in the terminal and as a page."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import psutil
from rich.table import Table

from tests.drills.drill import Measured, Row, Run

__all__ = ["PAGE", "page", "table"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "measurements" / "drills.md"
"""The page of measurements."""

_HEAD = """# Fault drills

`make drill` puts sweeps of three small trials through faults, each at a random moment, and checks
afterwards:

- Each trial is in MLflow once and in Optuna's study once, with all of its steps, each once.
- No trial went back farther than to its newest sound checkpoint.
- Results and leaderboard equal those of a sweep that nothing disturbed, to the last digit.
- No process of the sweep lives on, so no actor and no placement group; no file is half written.
- The command said what happened, with its exit code and without a traceback.

One row is one drill; several faults of a row hit the same sweep one after another. Ray's agents
wait 20 s for a head that has died, not the 60 s of Ray's default.
"""

# Seen outside of the drills, and not mended.
_KNOWN = """Outside of the drills one is known:

- Workers that never come up are started again for as long as the sweep runs. Ray Train has a limit,
  which would end the wait for a spot machine, too.
"""


def _result(run: Run) -> str:
    return f"{run.result} {run.seconds:.0f} s" if run.result != "skipped" else "skipped"


def _results(row: Row, rounds: int) -> list[str]:
    """Returns a cell for each round; a drill that was not asked for has none."""
    return [*map(_result, row.runs), *["not run"] * (rounds - len(row.runs))]


def _rounds(rows: Sequence[Row]) -> int:
    return max(len(row.runs) for row in rows)


def table(rows: Sequence[Row]) -> Table:
    """Returns the table of drills and their rounds."""
    shown = Table(title="Fault drills")
    shown.add_column("drill")
    shown.add_column("faults", overflow="fold")
    for number in range(1, _rounds(rows) + 1):
        shown.add_column(f"round {number}")
    for row in rows:
        shown.add_row(row.drill.name, row.drill.faults, *_results(row, _rounds(rows)))
    return shown


def page(found: Measured) -> str:
    """Returns the page of measurements."""
    rows = found.rows
    heads = ["drill", "faults", *(f"round {n}" for n in range(1, _rounds(rows) + 1))]
    lines = [_HEAD, f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        cells = [f"`{row.drill.name}`", row.drill.faults, *_results(row, _rounds(rows))]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"All of it took {found.total_s / 60:.0f} min, {found.reference_s:.0f} s of it for the "
        "undisturbed sweep.",
        f"Drills side by side: {found.at_once}. `--seed {found.seed}` repeats the moments.",
        _machine(),
        "",
    ]
    lines += [*_section("Faults that remain", "fault", rows), _KNOWN]
    lines += _section("Skipped", "skipped", rows)
    notes = [f"- `{row.drill.name}`: {note}" for row in rows for note in row.notes]
    return "\n".join([*lines, *(["## Notes", "", *notes, ""] if notes else [])])


def _section(title: str, result: str, rows: Sequence[Row]) -> list[str]:
    found = []
    for row in rows:
        whys = {_short(run.why) for run in row.runs if run.result == result}
        found += [f"- `{row.drill.name}`: {why}" for why in sorted(whys)]
    if not found and result == "skipped":
        return []
    return [f"## {title}", "", *(found or ["None in the drills."]), ""]


def _short(text: str) -> str:
    first = text.splitlines()[0]
    return first if len(first) < 300 else f"{first[:300]} …"


def _machine() -> str:
    load = ", ".join(f"{value:.0f}" for value in os.getloadavg())
    return (
        f"Python {platform.python_version()}, Ray {version('ray')} on {platform.system()} with "
        f"{psutil.cpu_count()} processors; load averages at the end: {load}."
    )
