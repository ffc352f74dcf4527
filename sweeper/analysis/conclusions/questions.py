"""What a design asks of its table, in the terms of the statistics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sweeper._text import level_text
from sweeper.analysis.statistics.questions import RateGrid
from sweeper.analysis.statistics.verdicts import (
    AgainstControl,
    AllPairs,
    Best,
    DeclaredPairs,
    Factorial,
    Peaks,
    Question,
    SizeTrend,
)
from sweeper.experiment.design import Configuration, DesignPlan, Factor

__all__ = ["MOST_PAIRED", "questions_of", "rate_grids"]

MOST_PAIRED = 6
"""Up to so many are compared in all pairs; of more, each is compared with the first, and with its
control arm."""


def questions_of(plan: DesignPlan) -> tuple[Question, ...]:
    """Returns the questions of a design, each of them a family that holds at its level."""
    match plan.question:
        case "tuned":
            return (_tuned(plan),)
        case "one_factor":
            return tuple(_one_factor(plan))
        case "effects":
            return (Factorial(_cells(plan)), *_control_pairs(plan))
        case "best":
            return tuple(_best(plan))


def rate_grids(plan: DesignPlan) -> tuple[RateGrid, ...]:
    """Returns of each tuned method the configurations of its grid, in the order of the file."""
    assert plan.tuned is not None
    by_method: dict[str, list[Configuration]] = defaultdict(list)
    for configuration in plan.configurations:
        by_method[str(configuration.levels["name"])].append(configuration)
    return tuple(
        RateGrid(
            method=method,
            parameter=".".join(plan.tuned.path),
            rates=plan.tuned.values,
            configurations=tuple(configuration.name for configuration in own),
        )
        for method, own in by_method.items()
    )


def _tuned(plan: DesignPlan) -> Peaks:
    grids = rate_grids(plan)
    if len(grids) <= MOST_PAIRED:
        return Peaks(grids)
    first = grids[0].method
    pairs = dict.fromkeys(
        (x.controls, str(x.levels["name"])) for x in plan.configurations if x.controls
    )
    # A family of its own, as in other designs; what the first is in is compared already.
    return Peaks(grids, first, tuple(pair for pair in pairs if first not in pair))


def _best(plan: DesignPlan) -> Iterator[Question]:
    names = [configuration.name for configuration in plan.configurations]
    yield Best()
    if len(names) <= MOST_PAIRED:
        yield AllPairs()
        return
    first = plan.baseline or names[0]
    yield AgainstControl(first)
    yield from _control_pairs(plan, but=first)


def _one_factor(plan: DesignPlan) -> Iterator[Question]:
    yield Best()
    assert plan.baseline is not None
    yield AgainstControl(plan.baseline)
    for factor in plan.factors:
        yield from _trend(plan, factor)


def _trend(plan: DesignPlan, factor: Factor) -> Iterator[SizeTrend]:
    """Yields the trend over a factor whose levels are sizes."""
    if not all(_is_size(level) for level in factor.levels):
        return
    baseline = next(x for x in plan.configurations if x.name == plan.baseline)
    others = {name: level for name, level in baseline.levels.items() if name != factor.name}
    sizes = tuple(
        (x.name, float(str(x.levels[factor.name])))
        for x in plan.configurations
        if not x.controls
        and _is_size(x.levels.get(factor.name))
        and {name: level for name, level in x.levels.items() if name != factor.name} == others
    )
    if len(sizes) > 2:
        yield SizeTrend(factor.name, sizes)


def _is_size(level: object) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool) and level > 0


def _cells(plan: DesignPlan) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    return tuple(
        (x.name, tuple((name, level_text(level)) for name, level in x.levels.items()))
        for x in plan.configurations
        if x.levels and not x.controls
    )


def _control_pairs(plan: DesignPlan, *, but: str = "") -> Iterator[DeclaredPairs]:
    """Yields the comparison of each arm with its control arm, without pairs that one is in."""
    pairs = tuple(
        (own.name, control.name)
        for control in plan.configurations
        if control.controls
        and (own := _controlled(plan, control)) is not None
        and but not in {own.name, control.name}
    )
    if pairs:
        yield DeclaredPairs(pairs)


def _controlled(plan: DesignPlan, control: Configuration) -> Configuration | None:
    """Returns the configuration that a control arm is of: of a method, its first one alike."""
    for x in plan.configurations:
        is_own = x.method == control.controls and control.levels.items() <= x.levels.items()
        if not x.controls and (x.name == control.controls or is_own):
            return x
    return None
