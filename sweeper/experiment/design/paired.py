"""Methods against each other at one budget, each with its own best learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from sweeper._spec import Spec
from sweeper._text import nearest, shorten, value_text
from sweeper.experiment.design.arms import Arm, complete
from sweeper.experiment.design.base import DesignFile, DesignSpec, configuration_of
from sweeper.experiment.design.factors import with_levels
from sweeper.experiment.design.plan import Configuration, DesignPlan, Factor, Question, TunedGrid

__all__ = ["LARGEST_RATIO", "PairedDesign", "RateGrid"]

LARGEST_RATIO = 2.3
"""How far neighbouring rates may be apart: a parabola through three of them finds the peak."""
# Rates are written with as many digits: they stand in names and in tables.
_DIGITS = 3


class RateGrid(Spec):
    """Learning rates, evenly spaced in their logarithm: ``{low: 1e-4, high: 3e-2, count: 8}``."""

    low: Annotated[float, Field(gt=0, le=10)] = 1e-4
    """The lowest."""
    high: Annotated[float, Field(gt=0, le=10)] = 3e-2
    """The highest."""
    count: Annotated[int, Field(ge=4, le=64)] = 8
    """How many. Neighbours may be at most 2.3 apart. A method whose best rate is the first or the
    last one gets no verdict."""

    @model_validator(mode="after")
    def _is_close(self) -> RateGrid:
        if self.low >= self.high:
            raise ValueError(
                f"low is {self.low:g} and high is {self.high:g}; low must be below high; swap them"
            )
        ratio = (self.high / self.low) ** (1 / (self.count - 1))
        if ratio > LARGEST_RATIO:
            least = math.ceil(math.log(self.high / self.low) / math.log(LARGEST_RATIO)) + 1
            raise ValueError(
                f"{self.count} rates from {self.low:g} to {self.high:g} are {ratio:.2f} apart; at "
                f"most {LARGEST_RATIO} are allowed, or the peak between them is missed; give a "
                f"count of {least}, or a narrower range"
            )
        return self

    def values(self) -> tuple[float, ...]:
        """Returns the rates, rising."""
        step = math.log(self.high / self.low) / (self.count - 1)
        found = (self.low * math.exp(number * step) for number in range(self.count))
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
        yield from super().problems(file)
        if set(self.methods or ()) <= set(known) and len(self._arms(file)) < 2:
            yield (
                "methods" if self.methods is None else "design.methods",
                "has no two methods to compare; give two or more",
            )

    def compared(self, file: DesignFile) -> tuple[Arm, ...]:
        """Returns the chosen methods, in the order in which they are named."""
        if self.methods is None:
            return file.arms
        by_name = {arm.name: arm for arm in file.arms}
        found = [by_name[name] for name in dict.fromkeys(self.methods) if name in by_name]
        names = {arm.name for arm in found}
        # What it is the control arm of may not be compared.
        return tuple(x if x.controls in names else replace(x, controls="") for x in found)

    def plan(self, file: DesignFile) -> DesignPlan:
        """Returns each method at each rate, or each method once where nothing is tuned."""
        found = self._plan_of(self._configurations(file), kind=self.kind)
        names = tuple(arm.name for arm in self._arms(file))
        factor = Factor(("method", "name"), names)
        if self.tune is None:
            return replace(found, question="best", factors=(factor,))
        tuned = TunedGrid(("train", "learning_rate"), self.rates.values())
        return replace(found, factors=(factor,), tuned=tuned)

    def _arms(self, file: DesignFile) -> tuple[Arm, ...]:
        chosen = self.compared(file)
        if self.control == "none":
            return chosen
        by_name = {arm.name: arm for arm in file.arms}
        # The file may say more of a control arm than that it is owed.
        return tuple(
            replace(by_name[arm.name], controls=arm.controls) if arm.name in by_name else arm
            for arm in complete(chosen, is_sized=file.is_sized)
        )

    def _configurations(self, file: DesignFile) -> Iterator[Configuration]:
        for arm in self._arms(file):
            if self.tune is None:
                answers = f"how good {arm.name} is at the file's learning rate"
                levels = {"name": arm.name}
                yield configuration_of(arm, name=arm.name, answers=answers, levels={**levels})
                continue
            factor = Factor(("train", "learning_rate"), self.rates.values())
            for rate in factor.levels:
                yield configuration_of(
                    with_levels(arm, [factor], [rate]),
                    name=f"{arm.name}, learning_rate={value_text(rate)}",
                    answers=f"where the peak of {arm.name} is over the learning rate",
                    levels={"name": arm.name, "learning_rate": rate},
                )
