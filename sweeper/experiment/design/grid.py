"""Every combination of some fields' values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Literal

from sweeper.experiment.design.arms import complete
from sweeper.experiment.design.base import DesignFile, configuration_of, values_name
from sweeper.experiment.design.factors import FactorDesign, cells_of
from sweeper.experiment.design.plan import MOST_TRIALS, Configuration, DesignPlan

__all__ = ["GridDesign"]


class GridDesign(FactorDesign):
    """Every combination of the factors' values, for each method of the file.

    It answers which combination is the best, and which cannot be told from it.
    """

    kind: Literal["grid"] = "grid"
    """Tag of this design."""

    def problems(self, file: DesignFile) -> Iterator[tuple[str, str]]:
        """Yields (field, message) for all that is wrong with the design of a file."""
        yield from super().problems(file)
        number = prod(len(factor.levels) for factor in self.factors.all())
        if number > MOST_TRIALS:
            yield (
                "design.factors",
                f"have {number:,} combinations; a sweep has at most {MOST_TRIALS:,} trials; give "
                "fewer values, or take a design one_factor or factorial",
            )

    def plan(self, file: DesignFile) -> DesignPlan:
        """Returns the combinations, method by method."""
        found = self._plan_of(self._configurations(file), kind=self.kind)
        return replace(found, factors=self.factors.all())

    def _configurations(self, file: DesignFile) -> Iterator[Configuration]:
        factors = self.factors.all()
        has_control = self.control == "added" and not _is_controlled(file)
        for arm in self.compared(file):
            cells = cells_of(arm, factors, has_control=has_control, is_sized=file.is_sized)
            for cell, levels in cells:
                values = values_name(list(levels), list(levels.values()))
                is_alone = len(file.arms) == 1 and not cell.controls
                name = values if is_alone else ", ".join(x for x in (cell.name, values) if x)
                answers = "whether this combination is the best"
                yield configuration_of(cell, name=name, answers=answers, levels=levels)


def _is_controlled(file: DesignFile) -> bool:
    """Returns whether the file has a control arm of its own."""
    return len(complete(file.arms, is_sized=file.is_sized)) == len(file.arms)
