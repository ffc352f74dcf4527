"""Seconds that a trial costs the sweeper itself, from the first to the ten thousandth.

A search of `search_spaces/masa.yaml` is made by the sweep's own code: its points are drawn and told
to the study, and each has its folder with record, reports and rows. Nothing is trained, and Ray is
not started: what a trial would have learnt is drawn. The search is the default one; with `--asha`
it is TPE's with ASHA, in which thousands of trials come to their end.

Prediction, written before the first run of the whole: a trial is drawn, told and recorded in less
than 0.1 s, and at 10,000 trials in at most 1.5 times as long as at 1,000; `report` and the page
take less than 5 s each at 10,000, and the page has less than 4 MB; MLflow gets at least one run a
second, more than two replicas end.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._bench import document, machine, terminal_width, write
from benchmarks.trials.looking import look, send
from benchmarks.trials.page import PAGE, page, text
from benchmarks.trials.simulating import ROWS, Search, Times, sweep_in
from sweeper.experiment.loading import load_sweep

MARKS = (100, 1000, 3000, 10_000)
STEPS = 24
"""Optimiser steps of a trial, of which each is a line of its reports."""
WINDOW = 100
"""Trials before a mark that its figures are the medians of."""
SENT = 100
"""Trials that MLflow is sent."""
ASHA = ("search.sampler=tpe", "search.stop=asha")
"""Another search than the default one: a report has thousands of complete trials to compare."""
_SPACE = Path(__file__).parents[2] / "search_spaces" / "masa.yaml"


def row_of(mark: int, times: Sequence[Times]) -> dict[str, Any]:
    """Returns the medians of the trials before a mark."""
    last = times[-WINDOW:]
    names = ("draw_s", "tell_s", "record_s")
    found = {name: statistics.median(getattr(x, name) for x in last) for name in names}
    whole = statistics.median(x.draw_s + x.tell_s + x.record_s for x in last)
    return {"trials": mark, **found, "trial_s": whole}


def measure(
    home: Path, *, marks: Sequence[int], seed: int, is_asha: bool = False
) -> list[dict[str, Any]]:
    """Returns the figures at each mark, and at the end those of MLflow."""
    overrides = [f"search.trials={marks[-1]}", f"search.seed={seed}", f"train.steps={STEPS}"]
    overrides += ASHA if is_asha else ()
    sweep = load_sweep(_SPACE, overrides=overrides)
    search = Search(sweep, sweep_in(home / "sweeps", sweep), seed=seed)
    rows, begin_s = [], time.perf_counter()
    for mark in marks:
        search.run(mark)
        row = row_of(mark, search.times) | {"elapsed_s": time.perf_counter() - begin_s}
        row |= look(search)
        print(text([row], width=terminal_width()), flush=True)
        rows.append(row)
    rows[-1] |= send(sweep, search.folder, home / "sent", trials=min(SENT, marks[-1]))
    return rows


def main() -> None:
    """Runs the bench, prints its table and, where asked to, writes its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--marks", type=int, nargs="+", default=list(MARKS), help="trials")
    parser.add_argument("--seed", type=int, default=0, help="of the search")
    parser.add_argument("--folder", type=Path, help="where the sweep is made; it is removed")
    parser.add_argument("--asha", action="store_true", help="TPE and ASHA, not the default search")
    parser.add_argument("--write", action="store_true", help="write the page of measurements")
    given = parser.parse_args()
    marks = tuple(given.marks)
    if sorted(set(marks)) != list(marks) or marks[0] < 1:
        parser.error("--marks must rise from 1 on")
    if given.write and (marks != MARKS or given.asha):
        parser.error("--write is of the whole bench; leave --marks and --asha out")
    found = machine()
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        rows = measure(Path(place), marks=marks, seed=given.seed, is_asha=given.asha)
    result = document(
        "trials",
        rows=rows,
        seeds={"search": given.seed},
        settings={"steps": STEPS, "window": WINDOW, "rows": ROWS},
        machine=found,
    )
    print(text(rows, width=terminal_width()))
    if given.write:
        PAGE.write_text(page(result), encoding="utf-8")
        print(PAGE)
        print(write(result, is_whole=True))


if __name__ == "__main__":
    sys.exit(main())
