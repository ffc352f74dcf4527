"""How good the rates are that a prior expects, in the cells that it has not seen.

The *excess* of a way in a cell is the test loss of what it chooses over that of the tuned rate,
less one. The tuned rate is the one of the table with the smallest mean validation loss. Both losses
are means over the seeds of the cell.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.rates.cells import Cell
from benchmarks.rates.fitting import fit
from benchmarks.rates.folds import Fold, Kind, folds
from benchmarks.rates.trying import bracket, chosen, climb, search
from sweeper.experiment.space.published_rates import usual_rate

__all__ = ["NEAR", "SHARE", "WAYS", "Judged", "Match", "Summary", "judge", "matches", "summaries"]

_Floats = NDArray[np.float64]

NEAR = 0.02
"""Excess up to which a rate is as good as the tuned one."""
SHARE = 0.8
"""Share of the cells in which the first trial should be so."""
WAYS = ("first", "nearest", "rule", "tuned elsewhere", "bracket", "climb", "started", "search")
"""Ways of finding a rate; see the page."""


@dataclass(frozen=True)
class Judged:
    """What came of all ways in one cell of a fold."""

    kind: Kind
    fold: str
    model: str
    method: str
    rank: int
    expected: float
    """The rate that was expected."""
    tuned: float
    """The tuned rate."""
    spread: float
    """Of the expected rate, in decades."""
    is_at_end: bool
    """Whether the tuned rate is the lowest or the highest of the table."""
    excess: dict[str, float]
    """By way."""
    search: tuple[float, ...]
    """Excess of the search after each of its trials."""
    started: tuple[float, ...]
    """The same of the search that starts at the expected rate."""

    def document(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Summary:
    """How good one way is in the cells of a kind of fold."""

    kind: Kind
    way: str
    cells: int
    near: float
    """Share of the cells with an excess of at most 2 %."""
    mean: float
    """Mean excess."""
    median: float
    """Median excess."""


@dataclass(frozen=True)
class Match:
    """Three trials against the search: the mean difference of excesses over cells."""

    kind: Kind
    way: str
    difference: float
    low: float
    high: float
    """Ends of an interval that holds at 90 %, over the choice of methods."""
    equal_after: int | None
    """Trials after which the mean excess of the search is no larger; None if never."""

    @property
    def verdict(self) -> str:
        """What the interval says: its upper end is a test at 5 %."""
        if self.high < NEAR:
            return f"as good, within {NEAR:.0%}"
        return "worse" if self.low > NEAR else "not shown"


def judge(cells: Sequence[Cell], *, trials: int, searches: int) -> list[Judged]:
    """Returns what came of all cells of all folds.

    Args:
        cells: of all tables.
        trials: of a search.
        searches: in each cell and seed.
    """
    plain = functools.cache(functools.partial(_plain, trials=trials, searches=searches))
    found = []
    for fold in folds(cells):
        prior = fit(fold.rest, tables=[{"left_out": fold.name}])
        for cell in fold.held:
            expected = prior.expected(cell.method, cell.shape)
            excess, started = _excesses(
                cell, expected.rate, fold=fold, trials=trials, searches=searches
            )
            curve = plain(cell)
            found.append(
                Judged(
                    kind=fold.kind,
                    fold=fold.name,
                    model=cell.model,
                    method=cell.method.label,
                    rank=cell.rank,
                    expected=expected.rate,
                    tuned=float(cell.rates[cell.tuned]),
                    spread=expected.spread,
                    is_at_end=cell.is_at_end,
                    excess={**excess, "search": curve[-1]},
                    search=curve,
                    started=started,
                )
            )
    return found


def _excesses(
    cell: Cell, rate: float, *, fold: Fold, trials: int, searches: int
) -> tuple[dict[str, float], tuple[float, ...]]:
    """Returns the excess of each way but the search, and of the started search's trials."""
    seeds = [cell.of_seeds([seed]) for seed in range(cell.seeds)]
    rates = {
        "first": lambda _: (rate,),
        "nearest": lambda _: (cell.nearest(rate),),
        "rule": lambda _: (usual_rate(cell.shape.hidden_size),),
        "bracket": lambda _: bracket(rate),
        "climb": lambda one: climb(one, rate),
    }
    own = [
        x for x in fold.rest if (x.model, x.method, x.rank) == (cell.model, cell.method, cell.rank)
    ]
    if own:
        elsewhere = float(own[0].rates[own[0].tuned])
        rates["tuned elsewhere"] = lambda _: (elsewhere,)
    found = {
        way: _over(cell, [chosen(x, make(x))[-1] for x in seeds]) for way, make in rates.items()
    }
    started = _curve(cell, seeds, start=rate, trials=trials, searches=searches)
    return {**found, "started": started[-1]}, started


def _plain(cell: Cell, *, trials: int, searches: int) -> tuple[float, ...]:
    seeds = [cell.of_seeds([seed]) for seed in range(cell.seeds)]
    return _curve(cell, seeds, start=None, trials=trials, searches=searches)


def _curve(
    cell: Cell, seeds: Sequence[Cell], *, start: float | None, trials: int, searches: int
) -> tuple[float, ...]:
    """Returns the excess of searches after each of their trials."""
    courses = [
        chosen(one, search(one, trials=trials, seed=number, start=start))
        for one in seeds
        for number in range(searches)
    ]
    return tuple(_over(cell, list(column)) for column in np.array(courses).T)


def _over(cell: Cell, losses: Sequence[float]) -> float:
    tuned = float(cell.test[:, cell.tuned].mean())
    return float(np.mean(losses)) / tuned - 1


def summaries(judged: Sequence[Judged]) -> list[Summary]:
    """Returns how good each way is, by what was left out."""
    found = []
    for kind in dict.fromkeys(x.kind for x in judged):
        for way in WAYS:
            values = [x.excess[way] for x in judged if x.kind == kind and way in x.excess]
            if values:
                excess = np.array(values)
                found.append(
                    Summary(
                        kind,
                        way,
                        len(excess),
                        near=float((excess <= NEAR).mean()),
                        mean=float(excess.mean()),
                        median=float(np.median(excess)),
                    )
                )
    return found


def matches(judged: Sequence[Judged]) -> list[Match]:
    """Returns three trials, and the first, against the whole search, by what was left out."""
    found = []
    for kind in dict.fromkeys(x.kind for x in judged):
        of_kind = [x for x in judged if x.kind == kind]
        curve = np.array([x.search for x in of_kind]).mean(axis=0)
        for way in ("first", "bracket", "climb"):
            value, low, high = _difference(of_kind, lambda x, way=way: x.excess[way])  # type: ignore[misc]
            reached = curve <= np.mean([x.excess[way] for x in of_kind])
            after = int(np.argmax(reached)) + 1 if reached.any() else None
            found.append(Match(kind, way, value, low, high, equal_after=after))
    return found


def _difference(
    judged: Sequence[Judged], excess: Callable[[Judged], float]
) -> tuple[float, float, float]:
    """Returns a mean over methods of excess less the search's, and its interval at 90 %.

    Cells of one method have much in common: they are averaged first.
    """
    methods = dict.fromkeys(x.method for x in judged)
    means = [
        np.mean([excess(x) - x.search[-1] for x in judged if x.method == name]) for name in methods
    ]
    mean = float(np.mean(means))
    if len(means) < 2:
        return mean, -np.inf, np.inf
    reach = float(stats.t.ppf(0.95, len(means) - 1) * stats.sem(means))
    return mean, mean - reach, mean + reach
