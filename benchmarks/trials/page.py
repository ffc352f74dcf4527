"""What `bench-trials` shows: a table in the terminal, and the page of measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._bench import Column, mebibytes, render

__all__ = ["PAGE", "page", "text", "verdicts"]

PAGE = Path(__file__).parents[2] / "docs" / "measurements" / "trials.md"
"""The page of measurements."""

_HEAD = """# Trials

What does a trial cost the sweeper itself, and does it cost more in a long sweep? `make
bench-trials` makes a search of {trials:,} trials by the sweep's own code: its points are drawn and
told to the study, and each has its folder with record, reports and rows. Nothing is trained, and
Ray is not started. The search is the default one: a Gaussian process draws, and each trial stops at
the first of 4 evaluations.

A whole trial has {steps} steps and {rows} validation rows. The times of a trial are medians of
{window} trials. *Resume* is all that is read before a sweep goes on.
"""

_TERMS = """
## What keeps it flat

- The study is read once and then kept in memory by its only driver: Optuna asks its database a
  dozen times a trial for all that has not ended. Each write still goes to the database at once.
- The Gaussian process is fitted to 200 ended trials at most, on one thread: replicas have the
  cores. TPE is shown 500. They are the 25 best, which TPE tells apart from the rest, and every n-th
  of the others.
- Of more than 64 adapters the report judges which may be the best by Bonferroni's value, which is
  larger than the simulated one: the set may be larger, and holds the best one as surely.
- The page shows 500 trials at most. `leaderboard.json` and `report --json` have all.
- A report reads each file of a trial once. That is most of its time: damage is found by reading
  all. The matrix of covariances is made once, and the differences to the best trial are of one of
  its rows.
- A resume judges no trial again that ASHA has judged, and asks the study's database as often
  whatever its length.

## Reading ten thousand trials

Predicted before the change: `report` takes less than 5 s at 10,000 trials, and what a resume reads
grows as the trials do. Measured before and after, in seconds of a processor (user and system, the
least of one to four runs): the machine was shared with a sweep and with tests, so that seconds on
the clock say little. The sweeps were 40 trials of this search and copies of them with rates and
losses of their own; 5,251 of the 10,000 are complete. Text, JSON and page were the same before and
after, byte for byte.

| | 3,000 before | after | 10,000 before | after |
|---|---:|---:|---:|---:|
| `report`, the whole command | 7.3 | 2.6 | 26.1 | 7.0 |
| its files and conclusions | 2.6 | 1.1 | 17.4 | 4.4 |
| its text | 2.9 | 0.2 | 8.6 | 0.9 |
| resume: study, points and rungs | 1.2 | 0.7 | 4.8 | 1.4 |
| resume: records against the study | 1.5 | 0.8 | 5.8 | 3.3 |
| resume: what is to be evaluated | 1.1 | 0.0 | 3.8 | 0.2 |
| resume: trials of other data | 0.5 | 0.3 | 1.6 | 1.1 |
| memory of `report`, MiB | 463 | 142 | 1,760 | 422 |

- Holds: what a resume reads takes 3.3 times as long for 3.3 times the trials (before: 3.8 times).
- **Missed** then by the whole command, which took 7.0 s; files and conclusions took 4.4 s. Of these
  1.2 s grew with the square of the complete trials: covariances of all, and the set of the best.
- On another machine of this kind it takes 3.9 s, the median of three runs with 5,302 complete
  trials; before the set of the best was found without all differences it took 3.9 to 4.4 s there.
- Before, differences to the best trial were made with weights of all trials, a product that grows
  with the cube; ASHA judged each trial again against all before it; rich wrapped each cell.
"""

_COLUMNS = (
    Column("trials", lambda row: f"{row['trials']:,}"),
    Column("draw", lambda row: f"{1e3 * row['draw_s']:.0f} ms"),
    Column("tell", lambda row: f"{1e3 * row['tell_s']:.0f} ms"),
    Column("record", lambda row: f"{1e3 * row['record_s']:.0f} ms"),
    Column("a trial", lambda row: f"{1e3 * row['trial_s']:.0f} ms"),
    Column("resume", lambda row: f"{row['resume_s']:.1f} s"),
    Column("report", lambda row: f"{row['report_s']:.1f} s"),
    Column("page", lambda row: f"{row['page_s']:.1f} s"),
    Column("MiB", lambda row: mebibytes(row["page_bytes"])),
)


def text(rows: Sequence[Mapping[str, Any]], *, width: int) -> str:
    """Returns the table for the terminal, and what of MLflow is known.

    Args:
        rows: the figures.
        width: characters of a line, from 80.
    """
    return "\n".join([render(_COLUMNS, rows, width=width), *_mlflow(rows)])


def _mlflow(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"MLflow, {row['sent']:.0f} trials: {row['runs_per_s']:.1f} runs a second; with nothing "
        f"new a look takes {1e3 * row['idle_s']:.0f} ms."
        for row in rows
        if "runs_per_s" in row
    ]


def verdicts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns which predictions hold, a sentence each.

    Args:
        rows: the figures at each mark; one is of 1,000 trials.
    """
    by_mark = {row["trials"]: row for row in rows}
    middle, last = by_mark[1000], rows[-1]
    slower = last["trial_s"] / middle["trial_s"]
    size, report_s = last["page_bytes"] / 2**20, last["report_s"]
    return [
        _verdict(
            f"a trial at {last['trials']:,} takes {slower:.2f} times what it takes at 1,000",
            "at most 1.5",
            holds=slower <= 1.5,
        ),
        _verdict(
            f"a trial takes {last['trial_s']:.3f} s", "below 0.1 s", holds=last["trial_s"] < 0.1
        ),
        _verdict(f"`report` takes {report_s:.1f} s", "below 5 s", holds=report_s < 5),
        _verdict(f"the page takes {last['page_s']:.1f} s", "below 5 s", holds=last["page_s"] < 5),
        _verdict(f"the page has {size:.1f} MiB", "below 4", holds=size < 4),
        _verdict(
            f"MLflow gets {last['runs_per_s']:.1f} runs a second",
            "at least 1",
            holds=last["runs_per_s"] >= 1,
        ),
    ]


def _verdict(found: str, predicted: str, *, holds: bool) -> str:
    return f"{'Holds' if holds else '**Missed**'}: {found} (predicted: {predicted})."


def page(result: Mapping[str, Any]) -> str:
    """Returns the page of measurements.

    Args:
        result: what was written of the run.
    """
    rows, settings, found = result["rows"], result["settings"], result["machine"]
    versions = result["versions"]
    lines = [
        _HEAD.format(trials=rows[-1]["trials"], **settings),
        f"| {' | '.join(column.title for column in _COLUMNS)} |",
        f"|{'---:|' * len(_COLUMNS)}",
        *(f"| {' | '.join(column.text(row) for column in _COLUMNS)} |" for row in rows),
        "",
        *_mlflow(rows),
        "",
        *(f"- {sentence}" for sentence in verdicts(rows)),
        "",
        f"{found['cpus']} cores of an {found['cpu']}, load {found['load_before']:.1f} before the "
        f"run; Optuna {versions['optuna']}, MLflow {versions['mlflow']}, seed "
        f"{result['seeds']['search']}.",
        "One run; compare the rows with each other.",
        _TERMS,
    ]
    return "\n".join(lines)
