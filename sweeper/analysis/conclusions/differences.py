"""What the comparison plot shows: of each configuration its difference to one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweeper.analysis.conclusions.questions import rate_grids
from sweeper.analysis.statistics import Components, ConfigurationScores, ScoreTable, components_of
from sweeper.analysis.statistics.multiplicity import t_value
from sweeper.analysis.statistics.primitive import Claim
from sweeper.analysis.statistics.questions import (
    all_pairs,
    difference_weights,
    peak_of,
    simultaneous,
)
from sweeper.analysis.statistics.units import as_adapters, by_unit, with_seeds
from sweeper.analysis.statistics.verdicts import Basis, BestSet, Conclusion, Statement
from sweeper.errors import BadInputError
from sweeper.experiment.design import DesignPlan

__all__ = ["MOST_ROWS", "Difference", "Differences", "differences_of"]

MOST_ROWS = 40
"""Adapters of a search that are shown at most: the best ones."""
# Up to so many the value for all pairs is simulated; for more it is Bonferroni's, which is larger.
_MOST_SIMULATED = 30
_PAIRS = {"against_control", "all_pairs", "peaks_against_control", "peaks_all_pairs"}


@dataclass(frozen=True)
class Difference:
    """One row of the plot; numbers are in units of the scores, positive where it is better.

    Attributes:
        name: Of the configuration, the method or the adapter.
        estimate: Difference of its mean to the reference's.
        interval: Of the estimate, simultaneous; None of the reference itself.
        seeds: Difference of each seed's score to the reference's mean.
        failed_seeds: How many seeds gave no score.
        in_best_set: Whether it may be the best; None where nobody asked.
    """

    name: str
    estimate: float
    interval: tuple[float, float] | None
    seeds: tuple[float, ...]
    failed_seeds: int
    in_best_set: bool | None


@dataclass(frozen=True)
class Differences:
    """The rows of the comparison plot.

    Attributes:
        reference: What all are compared with.
        against: Whether that is the control, or the best by its score.
        of: What the rows are.
        rows: In the order of the design, or of the trials.
        hidden: How many of a search are left out, all behind those that are shown.
        basis: What the intervals rest on.
    """

    reference: str
    against: Literal["control", "best"]
    of: Literal["configurations", "methods", "adapters"]
    rows: tuple[Difference, ...]
    hidden: int
    basis: Basis


@dataclass(frozen=True, eq=False)
class _Rows:
    """What is compared, before the intervals.

    Attributes:
        names: [k].
        means: float64 [k].
        seeds: [k], the scores of the seeds.
        failed: [k], numbers of failed seeds.
        components: Of the means; None where the statements have all intervals.
    """

    names: tuple[str, ...]
    means: NDArray[np.float64]
    seeds: tuple[NDArray[np.float64], ...]
    failed: tuple[int, ...]
    components: Components | None = None


def differences_of(
    table: ScoreTable,
    validation: ScoreTable | None,
    statements: Sequence[Statement],
    plan: DesignPlan | None,
    *,
    components: Components | None = None,
) -> Differences | None:
    """Returns the rows of the comparison plot; None where nothing is compared.

    Intervals are those of the statements where these compare with the reference. Else they hold
    together for all pairs, whichever of them is the best.

    Args:
        table: Scores that the verdicts are of, at a look of its seeds alone.
        validation: Scores that choose the rates of tuned methods.
        statements: The verdicts.
        plan: Of the design; None of a search.
        components: That the statements rest on; made where None.
    """
    table, validation = by_unit(table), validation and by_unit(validation)
    best = next((x for x in statements if isinstance(x, BestSet)), None)
    compared = [x for x in statements if isinstance(x, Conclusion)]
    pairs = {x.names: x for x in compared if x.family in _PAIRS}
    wider = [x for x in compared if x.family in {*_PAIRS, "size_trend", "factorial"}]
    basis = best.basis if best is not None else wider[0].basis if wider else None
    if basis is None:
        return None
    try:
        if plan is not None and plan.question == "tuned" and basis.claim == "configurations":
            rows = _peaks(table, validation, plan, best)
        else:
            rows = _rows(table, basis.claim, components)
    except BadInputError:
        return None
    if len(rows.names) < 2:
        return None
    control = next((names[1] for names, x in pairs.items() if "control" in x.family), None)
    reference = rows.names.index(control) if control in rows.names else int(rows.means.argmax())
    known = _known(rows.names, rows.names[reference], pairs)
    if not known and rows.components is not None:
        known = _simulated(rows.components, reference, 1.0 - basis.level)
    return _shown(rows, reference, known, best, basis, plan, is_control=control is not None)


def _rows(table: ScoreTable, claim: Claim, components: Components | None) -> _Rows:
    """Returns the configurations that are compared, or the adapters."""
    if claim == "adapters":
        kept = as_adapters(table)
        failed = [0] * len(kept.configurations)
    else:
        kept = with_seeds(table, 2)
        failed = [len(x.failed_seeds) for x in kept.configurations]
    if components is None:
        components = components_of(kept, claim=claim)
    seeds = tuple(x.scores.mean(axis=1) for x in kept.configurations)
    return _Rows(components.names, components.means, seeds, tuple(failed), components)


def _peaks(
    table: ScoreTable, validation: ScoreTable | None, plan: DesignPlan, best: BestSet | None
) -> _Rows:
    """Returns the tuned methods that are compared: peaks, and the seeds at the chosen rate."""
    known = set() if best is None else {*best.members, *best.left_out}
    tests: dict[str, ConfigurationScores] = {x.name: x for x in table.configurations}
    choices = {x.name: x for x in (validation or table).configurations}
    grids = [grid for grid in rate_grids(plan) if grid.method in known]
    tops = [peak_of(grid, tests, choices) for grid in grids]
    at = [tests[grid.configurations[top.best]] for grid, top in zip(grids, tops, strict=True)]
    failed = tuple(
        sum(len(tests[name].failed_seeds) for name in grid.configurations if name in tests)
        for grid in grids
    )
    return _Rows(
        names=tuple(grid.method for grid in grids),
        means=np.array([top.value for top in tops]),
        seeds=tuple(x.scores.mean(axis=1) for x in at),
        failed=failed,
    )


_Known = dict[str, tuple[float, tuple[float, float]]]


def _known(
    names: Sequence[str], reference: str, pairs: Mapping[tuple[str, ...], Conclusion]
) -> _Known:
    """Returns estimate and interval of each difference that the statements have."""
    found: _Known = {}
    for name in names:
        there, back = pairs.get((name, reference)), pairs.get((reference, name))
        if there is not None:
            found[name] = there.estimate, there.interval
        elif back is not None:
            low, high = back.interval
            found[name] = -back.estimate, (-high, -low)
    return found


def _simulated(components: Components, reference: int, alpha: float) -> _Known:
    k = len(components.names)
    found = components.differences_to(reference)
    if k <= _MOST_SIMULATED:
        every = difference_weights(k, all_pairs(k))
        critical = float(simultaneous(components, every, alpha=alpha).critical[0])
    else:
        df = float(np.delete(found.df, reference).min())
        critical = t_value(df, alpha / (k * (k - 1)))
    half = critical * found.standard_errors
    return {
        name: (float(value), (float(value - width), float(value + width)))
        for place, (name, value, width) in enumerate(
            zip(components.names, found.values, half, strict=True)
        )
        if place != reference
    }


def _shown(
    rows: _Rows,
    reference: int,
    known: _Known,
    best: BestSet | None,
    basis: Basis,
    plan: DesignPlan | None,
    *,
    is_control: bool,
) -> Differences:
    order = np.argsort(-rows.means, kind="stable")
    kept = sorted(order[:MOST_ROWS].tolist()) if plan is None else range(len(rows.names))
    zero, members = rows.means[reference], () if best is None else best.members
    shown = []
    for place in kept:
        name = rows.names[place]
        estimate, interval = known.get(name, (float(rows.means[place] - zero), None))
        shown.append(
            Difference(
                name=name,
                estimate=estimate,
                interval=interval,
                seeds=tuple(float(score - zero) for score in rows.seeds[place]),
                failed_seeds=rows.failed[place],
                in_best_set=None if best is None else name in members,
            )
        )
    is_tuned = best is not None and best.of_methods
    return Differences(
        reference=rows.names[reference],
        against="control" if is_control else "best",
        of="methods" if is_tuned else basis.claim,
        rows=tuple(shown),
        hidden=len(rows.names) - len(shown),
        basis=basis,
    )
