"""What `bench-search` shows: a table in the terminal, the page of measurements and its figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks._bench import Column, render, wrapped
from benchmarks.search.contestants import BEFORE, DEFAULT
from benchmarks.search.scoring import GOAL, Difference, Result, Results

__all__ = ["FIGURE", "PAGE", "conclusions", "page", "plot", "rows_of", "text"]

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "measurements" / "search.md"
"""The page of measurements."""
FIGURE = _ROOT / "docs" / "assets" / "images" / "search-regret.svg"
"""Regret against steps."""

_HEAD = """# Search

Which way of searching finds the best configuration with the fewest steps? `make bench-search`
replays searches on a table of learning curves of real trainings (`benchmarks/curves/`). The
decisions are the sweep's own: the sampler, ASHA, and how far trials are suggested ahead. Two
replicas run in virtual time, without Ray. A step takes one unit.
"""

_TERMS = """
The *regret* of a search is the test loss of the configuration that it chose, less that of the best
one of the table. Both are means over the table's seeds. What a way of searching chooses is the
trial with the smallest loss on the validation rows. Where trials end early, the steps that train
the chosen one to its end count. A difference is paired by the searches' seeds. The intervals hold
at 95 % for all rivals together, and speak of searches of this table. *Saved* are steps, or time,
until the mean regret is as small as today's at the end of the budget.
"""


def rows_of(results: Results) -> list[dict[str, Any]]:
    """Returns the results as plain values, a row each, for a table and for JSON."""
    return [asdict(found) for found in results.of]


def text(results: Results, *, width: int) -> str:
    """Returns the table and the conclusions for the terminal.

    Args:
        results: of the bench.
        width: characters of a line.
    """
    columns = [
        Column("search", lambda row: row["name"], is_number=False),
        Column("regret", lambda row: f"{row['regret']:.4f}"),
        Column("± se", lambda row: f"{row['standard_error']:.4f}", is_narrow=False),
        Column("to today's [95 %]", lambda row: _interval(row["difference"])),
        Column("steps\nsaved", lambda row: _percent(row["saving"])),
        Column("time\nsaved", lambda row: _percent(row["time_saving"])),
        Column("trials", lambda row: f"{row['trials']:.1f}", is_narrow=False),
        Column("swaps", lambda row: f"{row['swaps']:.1f}", is_narrow=False),
    ]
    rows = [
        {**row, "difference": found.difference}
        for row, found in zip(rows_of(results), results.of, strict=True)
    ]
    return "\n".join([render(columns, rows, width=width), "", *conclusions(results)])


def conclusions(results: Results) -> Iterator[str]:
    """Yields what is concluded, a sentence each."""
    yield from _of_searches(results)
    yield from _of_races(results)


def _of_races(results: Results) -> Iterator[str]:
    """Yields how often "worse now" was not "worse at the end"."""
    for found in results.of:
        if found.lost:
            share = 100 * found.lost_wrongly / found.lost
            yield (
                f"Of {found.lost:,} trials that {found.name} stopped, {found.lost_wrongly:,} "
                f"({share:.1f} %) would have ended better than the one that they lost to."
            )


def _of_searches(results: Results) -> Iterator[str]:
    winner, reached = results.winner, results.reached
    if winner is None:
        yield f"No way is better than {results.today} at the same steps. The default stays."
    else:
        yield (
            f"{winner.name} is better than {results.today} at the same steps, and has the smallest "
            "regret of those that are."
        )
        yield f"Time that it saves, swaps included: {_percent(winner.time_saving)}."
    goal = f"{100 * GOAL:.0f} % fewer steps than {results.today} at equal regret"
    if reached:
        yield f"The goal, {goal}, is reached by {'; '.join(found.name for found in reached)}."
        return
    means = [x for x in results.of if x.saving is not None and x.saving >= GOAL]
    yield f"The goal, {goal}, is **missed**: no interval shows it."
    if means:
        names = "; ".join(found.name for found in means)
        yield f"In the mean, without the interval, it is reached by {names}."


def _change(steps: float, found: Difference) -> str:
    """Returns how the default now differs from the one before it, a sentence."""
    return (
        f"After {steps:,.0f} steps the regret of the default differs from that of the default "
        f"before by {_interval(found)}: {found.verdict} (95 %, of this difference alone)."
    )


def page(
    results: Results,
    *,
    about: Sequence[str],
    unlisted: Sequence[str] = (),
) -> str:
    """Returns the page of measurements.

    Args:
        results: of the bench.
        about: what was searched and on what it ran, a sentence each.
        unlisted: what is not compared yet, a sentence each.
    """
    names = ["search", "regret", "difference to today's", "", "steps saved", "time saved", "trials"]
    lines = [_HEAD, wrapped(" ".join(about)), _TERMS]
    lines += [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cells(found))} |" for found in results.of]
    said = [
        f"Today's is {results.today}, as a search was when this bench was begun. The default after "
        f"it was {BEFORE}; the default now is {DEFAULT}.",
        *(_change(at, found) for at, found in results.changes.items()),
        *conclusions(results),
    ]
    lines += ["", *(wrapped(f"- {sentence}") for sentence in said), ""]
    relative = f"../{FIGURE.relative_to(PAGE.parents[1]).as_posix()}"
    lines += [f"![Mean regret against steps spent, a line for each search]({relative})", ""]
    lines += ["| search | what it is |", "|---|---|"]
    lines += [f"| {found.name} | {found.note} |" for found in results.of]
    if unlisted:
        lines += ["", "## Not measured", "", *(f"- {sentence}" for sentence in unlisted)]
    return "\n".join([*lines, ""])


def _cells(found: Result) -> list[str]:
    return [
        found.name,
        f"{found.regret:.4f} ± {found.standard_error:.4f}",
        _interval(found.difference),
        "" if found.difference is None else found.difference.verdict,
        _percent(found.saving),
        _percent(found.time_saving),
        f"{found.trials:.1f}",
    ]


def _interval(found: Difference | None) -> str:
    return "" if found is None else f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def _percent(share: float | None) -> str:
    return "not reached" if share is None else f"{100 * share:.0f} %"


def plot(results: Results, path: Path) -> None:
    """Draws the mean regrets against steps as an SVG, the same one for the same figures.

    Args:
        results: of the bench.
        path: of the file.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    styles = ("-", "--", ":", "-.")
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "search"}):
        figure = Figure(figsize=(10, 5), layout="constrained")
        panel = figure.subplots()
        for number, found in enumerate(results.of):
            is_today = found.name == results.today
            panel.plot(
                results.steps,
                found.curve,
                styles[number // 10 % len(styles)],
                label=found.name,
                linewidth=2.5 if is_today else 1.2,
            )
        panel.set(yscale="log", xlabel="steps spent", ylabel="mean regret (test loss)")
        panel.grid(alpha=0.3)
        figure.legend(*panel.get_legend_handles_labels(), loc="outside right upper")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
