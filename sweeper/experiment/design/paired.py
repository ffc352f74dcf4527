"""Methods against each other at one budget, each with its own best learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from sweeper._spec import Spec
from sweeper._text import level_text, nearest, shorten
from sweeper.experiment.design.arms import Arm, complete, with_controls
from sweeper.experiment.design.base import DesignFile, DesignSpec, configuration_of
from sweeper.experiment.design.factors import with_levels
from sweeper.experiment.design.plan import Configuration, DesignPlan, Factor, Question, TunedGrid
from sweeper.experiment.space.rates import number_of, rates_between, require_order

__all__ = ["LARGEST_RATIO", "PairedDesign", "RateGrid", "least_count"]

LARGEST_RATIO = 2.3
"""How far neighbouring rates may be apart: a parabola through three of them finds the peak."""
# Rates are written with as many digits: they stand in names and in tables.
_DIGITS = 3
# On the embedded model, whose rate is 3e-3, it is 1e-4 to 3e-2.
_USUAL = (0.0333, 10.0)

_Factor = Annotated[float, Field(gt=0, le=10_000)]


class RateGrid(Spec):
    """Learning rates, evenly spaced in their logarithm.

    They are given as they are, ``{low: 1e-4, high: 3e-2, count: 8}``, or as factors of the
    ``train.learning_rate`` of the file or its profile, ``{logfactor: [0.1, 10], count: 8}``: the
    same design then suits another model. Without both they are ``{logfactor: [0.0333, 10]}``.
    """

    low: Annotated[float | None, Field(gt=0, le=10)] = None
    """The lowest rate; with ``high``."""
    high: Annotated[float | None, Field(gt=0, le=10)] = None
    """The highest rate; with ``low``."""
    logfactor: tuple[_Factor, _Factor] | None = None
    """Lowest and highest rate as factors of ``train.learning_rate``, in the place of ``low`` and
    ``high``. The two rates are rounded to two digits."""
    count: Annotated[int, Field(ge=4, le=64)] = 8
    """How many. Neighbours may be at most 2.3 apart. A method whose best rate is the first or the
    last one gets no verdict."""

    @model_validator(mode="after")
    def _is_close(self) -> RateGrid:
        self._require_one_form()
        low, high = self._ends()
        ratio = (high / low) ** (1 / (self.count - 1))
        if ratio > LARGEST_RATIO:
            raise ValueError(
                f"{self.count} rates from {low:g} to {high:g} are {ratio:.2f} apart; at "
                f"most {LARGEST_RATIO} are allowed, or the peak between them is missed; give a "
                f"count of {least_count(low, high)}, or a narrower range"
            )
        if len(set(_spaced(low, high, self.count))) < self.count:
            raise ValueError(
                f"{self.count} rates from {low:g} to {high:g} are not told apart by "
                f"{_DIGITS} digits; give a smaller count, or a wider range"
            )
        return self

    @property
    def is_relative(self) -> bool:
        """Whether the rates are factors of the file's."""
        return self.low is None

    def values(self, rate: float | None = None) -> tuple[float, ...]:
        """Returns the rates, rising.

        Args:
            rate: that factors are of, above 0; rates that are given as they are need none.
        """
        ends = self._ends()
        if self.is_relative:
            assert rate is not None
            ends = rates_between(ends, rate)
        return _spaced(*ends, self.count)

    def _require_one_form(self) -> None:
        if self.logfactor is not None and not (self.low is self.high is None):
            raise ValueError(
                "has low or high and logfactor; the rates are given as they are, or as factors; "
                "leave logfactor out, or the others"
            )
        if (self.low is None) != (self.high is None):
            there = "low" if self.high is None else "high"
            raise ValueError(
                f"has {there} alone; a range has two ends; give low and high, or logfactor"
            )
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(
                f"low is {self.low:g} and high is {self.high:g}; low must be below high; swap them"
            )
        if self.logfactor is not None:
            require_order(self.logfactor)

    def _ends(self) -> tuple[float, float]:
        """Returns the lowest and the highest rate, or factor."""
        if self.low is not None and self.high is not None:
            return self.low, self.high
        return self.logfactor or _USUAL


def least_count(low: float, high: float) -> int:
    """Returns how many rates a grid has at least, so that no peak between them is missed.

    Args:
        low: the lowest rate, or factor.
        high: the highest.
    """
    return max(4, math.ceil(math.log(high / low) / math.log(LARGEST_RATIO)) + 1)


def _spaced(low: float, high: float, count: int) -> tuple[float, ...]:
    step = math.log(high / low) / (count - 1)
    found = (low * math.exp(number * step) for number in range(count))
    return tuple(float(f"{value:.{_DIGITS}g}") for value in found)


class PairedDesign(DesignSpec):
    """Methods against each other, each with its own learning rate.

    Every method is trained with each rate of one grid and each seed. A method's score is the peak
    of its curve over the rate, so that none is judged at the other's rate.
    """

    question: ClassVar[Question] = "tuned"

    kind: Literal["paired"] = "paired"
    """Tag of this design."""
    methods: Annotated[tuple[str, ...] | None, Field(min_length=1)] = None
    """Which of the file's methods are compared, by name; ``null`` for all. A control arm that is
    owed comes with them."""
    tune: Literal["train.learning_rate"] | None = "train.learning_rate"
    """What each method is tuned over. ``null`` compares them at the file's learning rate, where the
    better method may only have the better rate."""
    rates: RateGrid = RateGrid()
    """The grid of learning rates, where they are tuned."""

    def problems(self, file: DesignFile) -> Iterator[tuple[str, str]]:
        """Yields (field, message) for all that is wrong with the design of a file."""
        known = [arm.name for arm in file.arms]
        for name in self.methods or ():
            if name not in known:
                yield (
                    "design.methods",
                    f"unknown value {shorten(repr(name))}; the file's methods are "
                    f"{', '.join(known)}{nearest(name, known)}",
                )
        if self.methods is not None and len(set(self.methods)) < len(self.methods):
            yield "design.methods", f"are {', '.join(self.methods)}; name each method once"
            return
        if self.tune is None and "rates" in self.model_fields_set:
            yield "design.rates", "are given, but tune is null; leave one of the two out"
        if self.tune is not None and self.rates.is_relative and _rate_of(file) is None:
            got = file.train.get("learning_rate")
            said = "there is none" if got is None else f"it is {shorten(repr(got))}"
            yield (
                "design.rates",
                f"are factors of train.learning_rate, but {said}; they need a number above 0; "
                "set train.learning_rate, or give the rates as {low, high, count}",
            )
        yield from super().problems(file)
        if set(self.methods or ()) <= set(known) and len(self.compared(file)) < 2:
            yield (
                "methods" if self.methods is None else "design.methods",
                "has no two methods to compare; give two or more",
            )

    def compared(self, file: DesignFile) -> tuple[Arm, ...]:
        """Returns the chosen methods as they are named, and the control arms that they owe."""
        by_name = {arm.name: arm for arm in file.arms}
        names = by_name if self.methods is None else dict.fromkeys(self.methods)
        chosen = [by_name[name] for name in names if name in by_name]
        if self.control == "added":
            # The file may have a control arm that is not among the chosen.
            owed = complete(chosen, is_sized=file.is_sized)
            chosen = [by_name.get(arm.name, arm) for arm in owed]
        return with_controls(chosen, is_sized=file.is_sized)

    def plan(self, file: DesignFile) -> DesignPlan:
        """Returns each method at each rate, or each method once where nothing is tuned."""
        found = self._plan_of(self._configurations(file), kind=self.kind)
        names = tuple(arm.name for arm in self.compared(file))
        factor = Factor(("method", "name"), names)
        if self.tune is None:
            return replace(found, question="best", factors=(factor,))
        tuned = TunedGrid(("train", "learning_rate"), self.rates.values(_rate_of(file)))
        return replace(found, factors=(factor,), tuned=tuned)

    def _configurations(self, file: DesignFile) -> Iterator[Configuration]:
        for arm in self.compared(file):
            if self.tune is None:
                answers = f"how good {arm.name} is at the file's learning rate"
                levels = {"name": arm.name}
                yield configuration_of(arm, name=arm.name, answers=answers, levels={**levels})
                continue
            factor = Factor(("train", "learning_rate"), self.rates.values(_rate_of(file)))
            for rate in factor.levels:
                yield configuration_of(
                    with_levels(arm, [factor], [rate]),
                    name=f"{arm.name}, learning_rate={level_text(rate)}",
                    answers=f"where the peak of {arm.name} is over the learning rate",
                    levels={"name": arm.name, "learning_rate": rate},
                )


def _rate_of(file: DesignFile) -> float | None:
    """Returns the rate that factors are of; None where the file has no number."""
    return number_of(file.train.get("learning_rate"))
