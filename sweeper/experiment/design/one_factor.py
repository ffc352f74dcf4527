"""A baseline, and one change to it at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal, cast

from sweeper._text import value_text
from sweeper.experiment.design.arms import Arm, complete, value_at
from sweeper.experiment.design.base import DesignFile, configuration_of
from sweeper.experiment.design.factors import FactorDesign, with_levels
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
        # Two factors have one baseline: it is declared once.
        unique = {configuration.name: configuration for configuration in found}
        plan = self._plan_of(unique.values(), kind=self.kind, baseline=baseline)
        return replace(plan, factors=factors)

    def _configurations(self, arm: Arm, base: dict[str, Json]) -> Iterator[Configuration]:
        factors = self.factors.all()
        only = len(factors) == 1
        if not only or not any(_is_own(x.levels, base[x.name]) for x in factors):
            yield self._baseline(arm, base, "baseline")
        for factor in factors:
            for level in factor.levels:
                name = f"{factor.name}={value_text(level)}"
                if _is_own((level,), base[factor.name]):
                    yield self._baseline(arm, base, name if only else "baseline")
                    continue
                before = value_text(base[factor.name])
                yield configuration_of(
                    with_levels(arm, [factor], [level]),
                    name=name,
                    answers=f"what {name} does in the place of {before}",
                    levels={**base, factor.name: level},
                )

    def _baseline(self, arm: Arm, base: dict[str, Json], name: str) -> Configuration:
        answers = "baseline, with which each change is compared"
        return configuration_of(arm, name=name, answers=answers, levels=base)


def _is_own(levels: tuple[Json, ...], value: Json) -> bool:
    """Returns whether a value is among the levels; YAML has lists where a spec has tuples."""
    plain = list(value) if isinstance(value, tuple) else value
    # 1 is 1.0 and True, of which it means the first only.
    return any(
        level == plain and isinstance(level, bool) == isinstance(plain, bool) for level in levels
    )
