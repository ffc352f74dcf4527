"""Fits the prior of learning rates to tables of learning curves, and holds it to what it left out.

With ``--fit`` the packaged prior is written; else it is judged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks._bench import document, machine, terminal_width, write
from benchmarks.curves.table import PATH, CurveTable, read_table
from benchmarks.rates.cells import cells_of, content_of, model_of, shape_of
from benchmarks.rates.fitting import fitted
from benchmarks.rates.judging import judge
from benchmarks.rates.page import PAGE, page, text
from sweeper._text import count
from sweeper.errors import BadInputError
from sweeper.experiment.space.rates import PRIOR_FILE

TRIALS, SEARCHES = 12, 3


def tables_there() -> list[Path]:
    """Returns the files of all tables of the repository, the embedded model's first."""
    return sorted(PATH.parent.glob("curves*.npz"), key=lambda path: (path != PATH, path.name))


def about_of(tables: Sequence[CurveTable], *, trials: int, searches: int) -> list[str]:
    """Returns what was measured and on what it ran, a sentence each."""
    found = machine()
    said = [
        f"{model_of(table)} (width {shape_of(table).hidden_size}): {len(table.about.methods)} "
        f"methods, sizes {', '.join(map(str, table.about.ranks))}, {len(table.about.rates)} rates "
        f"from {table.about.rates[0]:g} to {table.about.rates[-1]:g}, "
        f"{count(len(table.about.seeds), 'seed')} (table {content_of(table)})."
        for table in tables
    ]
    return [
        *said,
        f"Each search made {trials} trials, {searches} times in each cell and seed.",
        f"The bench ran on {found['cpus']} cores of an {found['cpu']}.",
    ]


def main() -> None:
    """Runs the bench, or fits the prior."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", type=Path, help="files of curves [all there are]")
    parser.add_argument("--fit", action="store_true", help="write the prior of the package")
    parser.add_argument("--trials", type=int, default=TRIALS, help="of a search")
    parser.add_argument("--searches", type=int, default=SEARCHES, help="in each cell and seed")
    parser.add_argument("--write", action="store_true", help="write the page of measurements")
    given = parser.parse_args()
    if given.trials < 3 or given.searches < 1:
        parser.error("--trials must be at least 3, --searches 1")
    if given.fit and given.write:
        parser.error("--fit writes the prior, --write the page; give one of them")
    try:
        tables = [read_table(path) for path in given.tables or tables_there() or [PATH]]
        if given.fit:
            PRIOR_FILE.write_text(fitted(tables).model_dump_json(indent=1) + "\n", encoding="utf-8")
            print(PRIOR_FILE)
            return
        cells = [cell for table in tables for cell in cells_of(table)]
    except BadInputError as error:
        sys.exit(f"error: {error}")
    judged = judge(cells, trials=given.trials, searches=given.searches)
    if not judged:
        sys.exit("error: nothing can be left out of one model, one size and one seed; give more")
    said = about_of(tables, trials=given.trials, searches=given.searches)
    print("\n".join(said), end="\n\n")
    print(text(judged, width=terminal_width()))
    if given.write:
        PAGE.write_text(page(judged, fitted(tables), about=said), encoding="utf-8")
        result = document(
            "rates",
            rows=[found.document() for found in judged],
            seeds={"searches": given.searches},
            settings={"trials": given.trials, "tables": [content_of(x) for x in tables]},
            machine=machine(),
        )
        print(PAGE, write(result, is_whole=True), sep="\n")


if __name__ == "__main__":
    main()
