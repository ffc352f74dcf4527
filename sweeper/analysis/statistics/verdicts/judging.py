"""The verdict of each contrast of a family, and the set of what may be the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.analysis.statistics.primitive import Components
from sweeper.analysis.statistics.questions import (
    Intervals,
    best_set,
    equivalence_margins,
    simultaneous,
    stepwise,
)
from sweeper.analysis.statistics.verdicts.conclusions import (
    Basis,
    BestSet,
    Conclusion,
    Family,
    Kind,
)
from sweeper.analysis.statistics.verdicts.families import DeclaredContrast
from sweeper.analysis.statistics.verdicts.needs import needs_of
from sweeper.analysis.statistics.verdicts.spec import ConclusionSpec

__all__ = ["Evidence"]

# Families of planned contrasts, which are judged one after another (Holm).
_STEPWISE = ("size_trend", "factorial")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What all statements of one table rest on.

    Attributes:
        spec: What is asked.
        split: Which split the rows are of.
        components: Of the table's configurations, or of the peaks of tuned methods.
    """

    spec: ConclusionSpec
    split: str
    components: Components

    def best(self, *, of_methods: bool = False) -> BestSet:
        """Returns the set of what may be the best."""
        names = self.components.names
        stays = best_set(self.components, alpha=self.spec.alpha, draws=self.spec.draws)
        return BestSet(
            members=tuple(name for name, stay in zip(names, stays, strict=True) if stay),
            left_out=tuple(name for name, stay in zip(names, stays, strict=True) if not stay),
            of_methods=of_methods,
            basis=self._basis(range(len(names)), members=len(names)),
            caveats=self.spec.caveats_on(names),
        )

    def judged(self, family: Family, contrasts: Sequence[DeclaredContrast]) -> list[Conclusion]:
        """Returns the conclusions of a family of contrasts.

        Args:
            family: What it is called.
            contrasts: Its members, at least one.
        """
        weights = np.stack([each.weights for each in contrasts])
        intervals = self._intervals(family, weights)
        margins = equivalence_margins(intervals.contrasts, alpha=self.spec.alpha)
        kinds = self._kinds(intervals, margins)
        undecided = np.array(
            [i for i, kind in enumerate(kinds) if kind == "undecided"], dtype=np.intp
        )
        needs = dict(
            zip(
                undecided.tolist(),
                needs_of(self.components, intervals, undecided, self.spec.delta),
                strict=True,
            )
        )
        return [
            Conclusion(
                kind=kinds[i],
                family=family,
                contrasted=each.contrasted,
                names=each.names,
                estimate=float(value),
                interval=(float(intervals.low[i]), float(intervals.high[i])),
                equivalence_interval=(float(value - margins[i]), float(value + margins[i])),
                delta=self.spec.delta,
                basis=self._basis(np.flatnonzero(each.weights).tolist(), members=len(contrasts)),
                needs=needs.get(i),
                caveats=self.spec.caveats_on(
                    [self.components.names[place] for place in np.flatnonzero(each.weights)]
                ),
            )
            for i, (each, value) in enumerate(
                zip(contrasts, intervals.contrasts.values, strict=True)
            )
        ]

    def _intervals(self, family: Family, weights: NDArray[np.float64]) -> Intervals:
        if family in _STEPWISE:
            return stepwise(self.components, weights, alpha=self.spec.alpha)
        return simultaneous(self.components, weights, alpha=self.spec.alpha, draws=self.spec.draws)

    def _kinds(self, intervals: Intervals, margins: NDArray[np.float64]) -> list[Kind]:
        values = intervals.contrasts.values
        equivalent = np.abs(values) + margins < self.spec.delta
        found: list[Kind] = []
        for i, value in enumerate(values):
            if abs(value) > intervals.half_widths[i]:
                found.append(_direction(is_better=bool(value > 0), is_small=bool(equivalent[i])))
            else:
                found.append("equivalent" if equivalent[i] else "undecided")
        return found

    def _basis(self, places: Sequence[int], *, members: int) -> Basis:
        seeds = [self.components.seeds[place] for place in places]
        return Basis(
            claim=self.spec.claim,
            level=1.0 - self.spec.alpha,
            seeds=(min(seeds), max(seeds)),
            rows=self.components.rows,
            split=self.split,
            fixed_rows=self.spec.rows == "fixed",
            members=members,
        )


def _direction(*, is_better: bool, is_small: bool) -> Kind:
    if is_better:
        return "better_within_delta" if is_small else "better"
    return "worse_within_delta" if is_small else "worse"
