"""What the courses of many searches say: regret against steps, savings, and which way wins.

The *regret* of a search is the test loss of the configuration that it chose, less that of the best
one of the table. A search that has nothing to choose yet has the regret of the frozen base.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.curves.table import CurveTable
from benchmarks.search.replay import Course, Pick
from sweeper.analysis.statistics.primitive import components_of
from sweeper.analysis.statistics.questions.intervals import (
    against_control,
    difference_weights,
    simultaneous,
)
from sweeper.analysis.statistics.table import ConfigurationScores, ScoreTable

__all__ = [
    "GOAL",
    "PARTS",
    "POINTS",
    "Difference",
    "Result",
    "Results",
    "differences",
    "regrets",
    "score",
]

GOAL = 0.3
"""Share of today's steps that a way of searching should save at equal regret."""
POINTS = 120
"""Numbers of steps, evenly spaced up to the budget, at which regrets are taken."""
PARTS = (0.2, 0.4, 0.6, 1.0)
"""Parts of the budget at which two defaults are compared."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A mean difference of regrets, over searches with the same seeds; negative is better."""

    value: float
    low: float
    high: float
    """The ends of an interval that holds at 95 % for all rivals of today's way together."""

    @property
    def verdict(self) -> str:
        """What the interval says."""
        if self.high < 0:
            return "better"
        return "worse" if self.low > 0 else "not distinguishable"


@dataclass(frozen=True)
class Result:
    """What came of one way of searching."""

    name: str
    note: str
    curve: tuple[float, ...]
    """Mean regret at each number of steps of the results."""
    regret: float
    """Mean regret at the budget."""
    standard_error: float
    """Of that, over searches."""
    difference: Difference | None
    """Of the regret at the budget, to today's; None of today's own."""
    steps: float | None
    """Fewest steps at which its mean regret is at most today's at the budget; None where it never
    is."""
    saving: float | None
    """One less these steps over today's own; None as above."""
    time_saving: float | None
    """The same of virtual time, in which changes of the adapter count."""
    goal: Difference | None
    """Its regret at 70 % of today's steps, less today's at all of them; None of today's own."""
    trials: float
    """Mean number of trials that a search began."""
    swaps: float
    """Mean number of changes of the adapter."""
    lost: int = 0
    """Trials, of all searches, that were stopped because one other was better then."""
    lost_wrongly: int = 0
    """Those of them that would have been better than that one at their end."""


@dataclass(frozen=True)
class Results:
    """What came of all."""

    today: str
    steps: tuple[float, ...]
    """At which regrets were taken, rising up to the budget."""
    equal_steps: float
    """Fewest steps at which today's mean regret is what it is at the budget."""
    of: tuple[Result, ...]
    changes: Mapping[float, Difference] = field(default_factory=dict)
    """Of the default's regret to the one of the default before, by the steps spent; nothing where
    one of them was not searched."""

    @property
    def winner(self) -> Result | None:
        """The way that is better than today's at the same steps, of several the best one.

        None where no interval leaves out zero: the default stays.
        """
        better = [x for x in self.of if x.difference and x.difference.verdict == "better"]
        return min(better, key=lambda found: found.regret) if better else None

    @property
    def reached(self) -> tuple[Result, ...]:
        """The ways that are shown to have today's regret, or less, with 30 % fewer steps."""
        return tuple(x for x in self.of if x.goal is not None and x.goal.high <= 0)


def regrets(
    table: CurveTable,
    courses: Sequence[Course],
    at: Sequence[float] | _Floats,
    *,
    pick: Callable[[Course, float], Pick | None] = Course.pick_at,
) -> _Floats:
    """Returns the regret of each search at each moment, [searches, moments].

    Args:
        table: that was searched.
        courses: of the searches.
        at: moments: steps, or virtual times.
        pick: returns what a search would choose at a moment.
    """
    best = min(table.scores.values())
    base = float(table.base_test.astype(np.float64).mean())
    found = np.full((len(courses), len(at)), base - best)
    for row, course in zip(found, courses, strict=True):
        for place, moment in enumerate(at):
            chosen = pick(course, moment)
            if chosen is not None:
                row[place] = table.scores[chosen.cell] - best
    return found


def differences(
    regret: Mapping[str, _Floats], control: str, *, strata: NDArray[np.int64]
) -> dict[str, Difference]:
    """Returns the difference of each way of searching to a control, paired by the searches' seeds.

    The intervals are those of :mod:`sweeper.analysis.statistics` for all against a control: rows
    are searches, and what is said is of searches of this table.

    Args:
        regret: by name: float64 [searches].
        control: one of the names; there is another one.
        strata: int64 [searches], the table's seed that a search saw.
    """
    names = [control, *(name for name in regret if name != control)]
    scored = tuple(ConfigurationScores(x, (0,), -regret[x][None]) for x in names)
    components = components_of(
        ScoreTable(scored, strata, None, "test", "searches"), claim="adapters"
    )
    weights = difference_weights(len(names), against_control(len(names), 0))
    found = simultaneous(components, weights)
    # More is better there, and a regret is to be small.
    ends = zip(-found.contrasts.values, -found.high, -found.low, strict=True)
    return {name: Difference(*map(float, x)) for name, x in zip(names[1:], ends, strict=True)}


def score(
    table: CurveTable,
    courses: Mapping[str, Sequence[Course]],
    *,
    notes: Mapping[str, str],
    today: str,
    budget_steps: int,
    defaults: tuple[str, str] = ("", ""),
) -> Results:
    """Returns what the searches of all contestants say.

    Args:
        table: that was searched.
        courses: by contestant, of the seeds 0, 1, …, as many of each; one is today's, and there is
            another one.
        notes: by contestant.
        today: the control.
        budget_steps: that a search could spend.
        defaults: names of the default before, and of the default now.
    """
    steps = np.linspace(0.0, budget_steps, POINTS + 1)[1:]
    regret = {name: regrets(table, found, steps) for name, found in courses.items()}
    mean = {name: found.mean(axis=0) for name, found in regret.items()}
    level = float(mean[today][-1])
    equal = _first(steps, mean[today], level)
    assert equal is not None
    strata = np.arange(len(courses[today])) % len(table.about.seeds)
    at_budget = differences({x: found[:, -1] for x, found in regret.items()}, today, strata=strata)
    fewer = {
        name: regrets(table, found, [equal if name == today else (1 - GOAL) * equal])[:, 0]
        for name, found in courses.items()
    }
    goals = differences(fewer, today, strata=strata)
    savings = _savings({name: _first(steps, found, level) for name, found in mean.items()}, today)
    time_savings = _savings(_times(table, courses, level=level), today)
    return Results(
        today=today,
        changes=_changes(table, courses, defaults, budget_steps=budget_steps),
        steps=tuple(map(float, steps)),
        equal_steps=equal,
        of=tuple(
            Result(
                name=name,
                note=notes[name],
                curve=tuple(map(float, mean[name])),
                regret=float(mean[name][-1]),
                standard_error=float(regret[name][:, -1].std(ddof=1) / np.sqrt(len(found))),
                difference=at_budget.get(name),
                steps=_first(steps, mean[name], level),
                saving=savings[name],
                time_saving=time_savings[name],
                goal=goals.get(name),
                trials=float(np.mean([course.trials for course in found])),
                swaps=float(np.mean([course.swaps for course in found])),
                lost=sum(course.lost for course in found),
                lost_wrongly=sum(course.lost_wrongly for course in found),
            )
            for name, found in courses.items()
        ),
    )


def _changes(
    table: CurveTable,
    courses: Mapping[str, Sequence[Course]],
    defaults: tuple[str, str],
    *,
    budget_steps: int,
) -> dict[float, Difference]:
    """Returns the differences between two ways at parts of the budget; each interval for itself."""
    before, now = defaults
    if before not in courses or now not in courses:
        return {}
    strata = np.arange(len(courses[now])) % len(table.about.seeds)
    found = {}
    for share in PARTS:
        at = share * budget_steps
        regret = {name: regrets(table, courses[name], [at])[:, 0] for name in defaults}
        found[at] = differences(regret, before, strata=strata)[now]
    return found


def _times(
    table: CurveTable, courses: Mapping[str, Sequence[Course]], *, level: float
) -> dict[str, float | None]:
    """Returns the first virtual time at which each way's mean regret is at most a level."""
    latest = max(course.time for found in courses.values() for course in found)
    times = np.linspace(0.0, latest, POINTS + 1)[1:]
    return {
        name: _first(times, regrets(table, found, times, pick=Course.pick_by).mean(axis=0), level)
        for name, found in courses.items()
    }


def _savings(first: Mapping[str, float | None], today: str) -> dict[str, float | None]:
    own = first[today]
    return {
        name: None if found is None or own is None else 1.0 - found / own
        for name, found in first.items()
    }


def _first(at: _Floats, mean: _Floats, level: float) -> float | None:
    """Returns the first moment at which a mean regret is at most a level; None without one."""
    reached = np.flatnonzero(mean <= level + 1e-12)
    return float(at[reached[0]]) if reached.size else None
