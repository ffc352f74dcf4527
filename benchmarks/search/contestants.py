"""The ways of searching that are compared: what draws the next point, and what ends a trial early.

Every combination of the two that is listed here is a contestant.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import optuna

from benchmarks.curves.table import CurveTable
from benchmarks.search.expected import expected_rates, informed, mean_rates
from benchmarks.search.racing import Racing
from benchmarks.search.replay import Course, Replay, Setting
from benchmarks.search.rules import Asha, Constant, MakeRule, Promotion, Rule, Whole
from sweeper.experiment.space.space import Space
from sweeper.experiment.sweep import AshaSpec, RacingSpec, SearchSpec
from sweeper.experiment.trial import TrainSpec
from sweeper.search.driving.samplers import MakeSampler, sampler_for

__all__ = [
    "BEFORE",
    "CONTESTANTS",
    "DEFAULT",
    "TODAY",
    "Contestant",
    "by_name",
    "sampler_of",
]


@dataclass(frozen=True)
class Contestant:
    """A way of searching."""

    name: str
    sampler: MakeSampler
    rule: MakeRule
    note: str
    """What it is, in a few words."""
    is_informed: bool = False
    """Whether each method is tried once at the rate that is expected of it, and then what is
    drawn."""

    def search(self, table: CurveTable, setting: Setting, *, seed: int) -> Course:
        """Returns the course of one search on a table."""
        return self.replay(table, setting, seed=seed).run()

    def replay(self, table: CurveTable, setting: Setting, *, seed: int) -> Replay:
        """Returns a search on a table that has not begun."""
        sampler, start_rates, starts = self.sampler, None, list[str]()
        if self.is_informed:
            rates = expected_rates(table, seed=seed % len(table.about.seeds))
            sampler, start_rates = informed(sampler, rates), mean_rates(rates)
            # A sweep takes them in the order of its file, which may be any.
            starts = random.Random(seed).sample(table.about.methods, k=len(table.about.methods))
        return Replay(
            table,
            setting,
            make_sampler=sampler,
            make_rule=self.rule,
            seed=seed,
            start_rates=start_rates,
            starts=starts,
        )


def sampler_of(name: Literal["tpe", "gp", "random"]) -> MakeSampler:
    """Returns what makes the sweep's own samplers of a name."""

    def make(
        search: SearchSpec, *, space: Space, trial_number: int, is_random: bool = False
    ) -> optuna.samplers.BaseSampler:
        own = search.model_copy(update={"sampler": name})
        return sampler_for(own, space=space, trial_number=trial_number, is_random=is_random)

    return make


def _scaled(share: float, evaluations: int) -> int:
    """Returns the evaluation that comes nearest to a share of a trial, at least the first."""
    return max(1, round(share * evaluations))


# The packaged default counts a trial's evaluations, of which it has so many by default.
_USUAL = TrainSpec.model_fields["evaluations"].default
_DEFAULT = AshaSpec()


def _default(evaluations: int) -> AshaSpec:
    """The default of ASHA at the same shares of a trial's steps."""
    return _DEFAULT.model_copy(update={"grace": _scaled(_DEFAULT.grace / _USUAL, evaluations)})


def _on_rungs(
    kind: type[Asha] | type[Promotion], evaluations: int, *, is_early: bool = False
) -> Rule:
    return kind(_DEFAULT if is_early else _default(evaluations), evaluations=evaluations)


def _racing(evaluations: int) -> Rule:
    return Racing(RacingSpec(), evaluations=evaluations)


def _constant(evaluations: int, *, share: float, finalists: int = 1) -> Rule:
    return Constant(_scaled(share, evaluations), finalists)


_RULES: dict[str, tuple[Callable[[int], Rule], str]] = {
    "": (Whole, "every trial to its end"),
    "ASHA": (
        functools.partial(_on_rungs, Asha),
        "rungs after 1/4 and 3/4 of the steps, one in three goes on",
    ),
    "ASHA, early": (
        functools.partial(_on_rungs, Asha, is_early=True),
        "the same from the first evaluation on",
    ),
    "promotion": (
        functools.partial(_on_rungs, Promotion),
        "rungs as ASHA's; trials pause there, and go on when they are among the best third",
    ),
    "promotion, early": (
        functools.partial(_on_rungs, Promotion, is_early=True),
        "the same from the first evaluation on",
    ),
    "racing": (
        _racing,
        "a trial ends once it is worse for certain than the best before it on the rows of both",
    ),
    "1/12": (
        functools.partial(_constant, share=1 / 12),
        "a twelfth of the steps; the best is trained to its end",
    ),
    "1/4": (
        functools.partial(_constant, share=1 / 4),
        "a quarter of the steps; the best is trained to its end",
    ),
    "1/12, best 3": (
        functools.partial(_constant, share=1 / 12, finalists=3),
        "a twelfth of the steps; the best three are trained to their end",
    ),
    "1/4, best 3": (
        functools.partial(_constant, share=1 / 4, finalists=3),
        "a quarter of the steps; the best three are trained to their end",
    ),
    "1/2": (
        functools.partial(_constant, share=1 / 2),
        "half of the steps; the best is trained to its end",
    ),
}

_SAMPLERS: dict[str, tuple[MakeSampler, str]] = {
    "random": (sampler_of("random"), "points at random"),
    "TPE": (sampler_of("tpe"), "a tree-structured Parzen estimator"),
    "GP": (sampler_of("gp"), "a Gaussian process that is told each value's standard error"),
}

# Not every pair: what learns from whole trials alone has too few of them under ASHA.
_PAIRS = (
    ("random", ("", "ASHA", "promotion", "racing", "1/4")),
    ("TPE", tuple(_RULES)),
    ("GP", ("", "1/4", "1/4, best 3", "1/2")),
)


_EXPECTED = "each method once at the rate that was best at another size"
# Those that are tried with the rate that is expected of a method, too.
_INFORMED = (
    ("random", ("", "1/4")),
    ("TPE", ("", "ASHA", "promotion", "racing", "1/4", "1/4, best 3")),
    ("GP", ("", "1/4", "1/4, best 3")),
)


def _contestants() -> tuple[Contestant, ...]:
    found = []
    for pairs, is_informed in ((_PAIRS, False), (_INFORMED, True)):
        for sampler, rules in pairs:
            maker, drawn = _SAMPLERS[sampler]
            if is_informed:
                sampler, drawn = f"expected rate, {sampler}", f"{_EXPECTED}, then {drawn}"
            for name in rules:
                rule, ended = _RULES[name]
                called = f"{sampler} + {name}" if name else sampler
                note = f"{drawn}; {ended}"
                found.append(Contestant(called, maker, rule, note, is_informed))
    return tuple(found)


CONTESTANTS = _contestants()
"""All of them."""
TODAY = "TPE + ASHA"
"""The one that a sweep was before all others: they are compared with it."""
BEFORE, DEFAULT = "expected rate, TPE + ASHA", "expected rate, GP + 1/4"
"""What a sweep was by default next, and what it is now."""


def by_name(name: str) -> Contestant:
    """Returns the contestant of a name; KeyError where there is none."""
    return {contestant.name: contestant for contestant in CONTESTANTS}[name]
