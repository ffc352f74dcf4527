"""What `bench-rates` shows: tables in the terminal, and the page of measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._bench import Column, render, wrapped
from benchmarks.rates.judging import SHARE, Judged, Match, Summary, matches, summaries
from sweeper.experiment.space.rates import RatePrior

__all__ = ["PAGE", "conclusions", "page", "text"]

PAGE = Path(__file__).parents[2] / "docs" / "measurements" / "rates.md"
"""The page of measurements."""

_LEFT_OUT = {"model": "a model", "size": "a size", "seed": "a seed"}
_NOTES = {
    "first": "the rate that is expected: `auto`, and the first trial of a search",
    "nearest": "the rate of the table that is nearest to it: no loss is interpolated",
    "rule": "the rule for LoRA, for every method: `(2000 / width) ^ 0.781 · 5e-4`",
    "tuned elsewhere": "the tuned rate of the same method and size on the other seeds",
    "bracket": "three trials: the expected rate, three times it, a third of it",
    "climb": "three trials: the expected rate, three times it, and on towards the better one",
    "started": "the search, its first trial at the expected rate",
    "search": "the search over the table's whole range: TPE, every trial to its end",
}
_SHOWN = (1, 2, 3, 6, 12)

_HEAD = """# Learning rates

How good is the rate that `train.learning_rate: auto` gives, and where a search starts? `make
bench-rates` leaves a part of the tables of learning curves out (`benchmarks/curves/`), fits the
prior to the rest, and looks up what the expected rate comes to in the part that was left out.
"""

_TERMS = """
The *excess* of a way is the test loss of what it chooses over that of the tuned rate, less one. The
tuned rate is the one of the table with the smallest mean validation loss. *Near* are cells, of one
method in one size, with an excess of at most 2 %. Between two rates of a table the logarithm of the
loss is taken for a monotone cubic, which is never below the better one of the two. Trials are
chosen by the validation loss of one seed.
"""


def conclusions(judged: Sequence[Judged]) -> Iterator[str]:
    """Yields what is concluded, a sentence each."""
    for found in summaries(judged):
        if found.way in ("first", "nearest"):
            goal = "reached" if found.near >= SHARE else "**missed**"
            yield (
                f"With {_LEFT_OUT[found.kind]} left out, the first trial ({found.way}) is near in "
                f"{found.near:.0%} of {found.cells} cells; the goal, {SHARE:.0%}, is {goal}."
            )
    for match in matches(judged):
        if match.way != "first":
            yield (
                f"With {_LEFT_OUT[match.kind]} left out, three trials ({match.way}) differ from "
                f"the search after {len(judged[0].search)} trials by {_signed(match.difference)} "
                f"[{_signed(match.low)}, {_signed(match.high)}] of the tuned loss (90 %, over "
                f"methods): {match.verdict}."
            )
    if not any(found.kind == "model" for found in judged):
        yield "No model could be left out: the tables are of one. What another needs is not shown."


def text(judged: Sequence[Judged], *, width: int) -> str:
    """Returns tables and conclusions for the terminal.

    Args:
        judged: of the bench.
        width: characters of a line.
    """
    columns = [
        Column("left out", lambda row: row["kind"], is_number=False),
        Column("way", lambda row: row["way"], is_number=False),
        Column("cells", lambda row: str(row["cells"])),
        Column("near", lambda row: f"{row['near']:.0%}"),
        Column("mean excess", lambda row: _signed(row["mean"])),
        Column("median", lambda row: _signed(row["median"])),
    ]
    rows = [vars(found) for found in summaries(judged)]
    courses = [
        Column("left out", lambda row: row["kind"], is_number=False),
        Column("mean excess after", lambda row: row["way"], is_number=False),
        *(
            Column(f"{n} trials", lambda row, n=n: row.get(n, ""))  # type: ignore[misc]
            for n in _SHOWN
        ),
    ]
    parts = [
        render(columns, rows, width=width),
        render(courses, list(_courses(judged)), width=width),
        *conclusions(judged),
    ]
    return "\n".join(parts)


def page(judged: Sequence[Judged], prior: RatePrior, *, about: Sequence[str]) -> str:
    """Returns the page of measurements.

    Args:
        judged: of the bench.
        prior: fitted to all tables.
        about: what was measured and on what it ran, a sentence each.
    """
    said = [f"- {sentence}" for sentence in conclusions(judged)]
    parts = [*(f"- {sentence}" for sentence in about), _TERMS, *said, ""]
    lines = [_HEAD, *(x if x == _TERMS else wrapped(x) for x in parts)]
    lines += _table(
        ("left out", "way", "cells", "near", "mean excess", "median"),
        (_summary_row(found) for found in summaries(judged)),
    )
    lines += ["", "The search after so many trials, mean excess:", ""]
    lines += _table(
        ("left out", "way", *(f"{n}" for n in _SHOWN)),
        ((row["kind"], row["way"], *(row.get(n, "") for n in _SHOWN)) for row in _courses(judged)),
    )
    lines += ["", "Trials after which the search's mean excess is no larger:", ""]
    lines += _table(
        ("left out", "way", "search needs", "difference to the whole search [90 %]"),
        (_match_row(found) for found in matches(judged)),
    )
    lines += ["", *_table(("way", "what it is"), _NOTES.items())]
    return "\n".join([*lines, "", *_of_prior(prior), ""])


def _of_prior(prior: RatePrior) -> Iterator[str]:
    yield "## The prior"
    yield ""
    yield wrapped(
        f"Fitted to all tables. Values hold at size {prior.size:.3g} and width {prior.width:.0f}. "
        f"The best rate is as size ^ {prior.by_size.exponent:.2f} ± {prior.by_size.spread:.2f}, "
        f"alpha ^ {prior.by_alpha.exponent:.2f} ± {prior.by_alpha.spread:.2f} (published), "
        f"width ^ {prior.by_width.exponent:.2f} ± {prior.by_width.spread:.2f}; from one training "
        f"to another it spreads by {prior.noise:.2f} decades."
    )
    yield ""
    rows = sorted(prior.methods.items(), key=lambda item: item[1].log10_rate)
    yield from _table(
        ("method", "rate", "in two of three cases"),
        (
            (
                name,
                f"{10**value.log10_rate:.2g}",
                f"× or ÷ {10**value.spread:.2f}",
            )
            for name, value in rows
        ),
    )


def _courses(judged: Sequence[Judged]) -> Iterator[Mapping[Any, str]]:
    for kind in dict.fromkeys(x.kind for x in judged):
        of_kind = [x for x in judged if x.kind == kind]
        for way in ("search", "started"):
            curve = np.array([getattr(x, way) for x in of_kind]).mean(axis=0)
            shown = {n: _signed(curve[n - 1]) for n in _SHOWN if n <= len(curve)}
            yield {"kind": kind, "way": way, **shown}


def _summary_row(found: Summary) -> tuple[str, ...]:
    return (
        found.kind,
        found.way,
        str(found.cells),
        f"{found.near:.0%}",
        _signed(found.mean),
        _signed(found.median),
    )


def _match_row(found: Match) -> tuple[str, ...]:
    needs = "never" if found.equal_after is None else f"{found.equal_after} trials"
    reach = f"{_signed(found.difference)} [{_signed(found.low)}, {_signed(found.high)}]"
    return found.kind, found.way, needs, f"{reach}: {found.verdict}"


def _table(head: Sequence[str], rows: Any) -> list[str]:  # noqa: ANN401 - of texts
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %"
