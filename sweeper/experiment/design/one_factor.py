"""A baseline, and one change to it at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal, cast

from sweeper._text import level_text
from sweeper.experiment.design.arms import Arm, complete, value_at
from sweeper.experiment.design.base import DesignFile, configuration_of
from sweeper.experiment.design.factors import FactorDesign, is_same, with_levels
from sweeper.experiment.design.plan import Configuration, DesignPlan, Question
from sweeper.experiment.documents.tree import Json

__all__ = ["OneFactorDesign"]


class OneFactorDesign(FactorDesign):
    """A baseline and one change at a time: the method as it is, and with each other value.

    It answers what each change does to the baseline, and whether there is a trend over a size.
    """

    question: ClassVar[Question] = "one_factor"

    kind: Literal["one_factor"] = "one_factor"
    """Tag of this design."""

    def problems(self, file: DesignFile) -> Iterator[tuple[str, str]]:
        """Yields (field, message) for all that is wrong with the design of a file."""
        yield from super().problems(file)
        yield from self._one_method(file, self.kind)

    def plan(self, file: DesignFile) -> DesignPlan:
        """Returns the baseline, its changes factor by factor, and the baseline's control arm."""
        (arm,) = file.arms
        factors = self.factors.all()
        # JSON comes of JSON, and a default of a method is plain, too.
        base = {x.name: cast("Json", value_at(arm, x.path, train=file.train)) for x in factors}
        found = list(self._configurations(arm, base))
        baseline = next(x.name for x in found if x.levels == base)
        if self.control == "added":
            controls = complete([arm], is_sized=file.is_sized)[1:]
            found += [
                configuration_of(replace(x, controls=baseline), name=x.name, answers="")
                for x in controls
            ]
        plan = self._plan_of(found, kind=self.kind, baseline=baseline)
        return replace(plan, factors=factors)

    def _configurations(self, arm: Arm, base: dict[str, Json]) -> Iterator[Configuration]:
        factors = self.factors.all()
        first = factors[0]
        # Several factors have one baseline, which is not called after a value of one of them.
        is_named = len(factors) == 1 and any(is_same(x, base[first.name]) for x in first.levels)
        if not is_named:
            yield self._baseline(arm, base, "baseline")
        for factor in factors:
            for level in factor.levels:
                name = f"{factor.name}={level_text(level)}"
                if is_same(level, base[factor.name]):
                    if is_named:
                        yield self._baseline(arm, base, name)
                    continue
                before = level_text(base[factor.name])
                yield configuration_of(
                    with_levels(arm, [factor], [level]),
                    name=name,
                    answers=f"what {name} does in the place of {before}",
                    levels={**base, factor.name: level},
                )

    def _baseline(self, arm: Arm, base: dict[str, Json], name: str) -> Configuration:
        answers = "baseline, with which each change is compared"
        return configuration_of(arm, name=name, answers=answers, levels=base)
