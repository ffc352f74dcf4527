"""What is said of tuned methods."""

from __future__ import annotations

from dataclasses import replace

from sweeper.analysis.statistics.questions import (
    FEWEST_RATES,
    Peak,
    RateGrid,
    against_control,
    all_pairs,
    peak_components,
    peak_of,
    scored_rates,
)
from sweeper.analysis.statistics.table import ScoreTable
from sweeper.analysis.statistics.units import require_comparable
from sweeper.analysis.statistics.verdicts.conclusions import Family, Silence, Statement
from sweeper.analysis.statistics.verdicts.families import pair_contrasts
from sweeper.analysis.statistics.verdicts.judging import Evidence
from sweeper.analysis.statistics.verdicts.spec import ConclusionSpec, Peaks
from sweeper.errors import BadInputError

__all__ = ["peak_statements"]


def peak_statements(
    table: ScoreTable, validation: ScoreTable | None, question: Peaks, spec: ConclusionSpec
) -> list[Statement]:
    """Returns what follows for methods at the peaks of their curves.

    Of a method whose best rate is an end of its grid nothing is said, nor of one of which too
    little was scored.

    Args:
        table: Scores on test, each configuration of at least two seeds.
        validation: Scores by which the rate is chosen.
        question: The grids.
        spec: What is asked.

    Raises:
        BadInputError: There are no validation scores, or they are not comparable.
    """
    if validation is None:
        raise BadInputError(
            "tuned methods: got no validation scores; the rate is chosen by them; score every "
            "trial of the grid on validation"
        )
    require_comparable(validation)
    tests = {each.name: each for each in table.configurations}
    choices = {each.name: each for each in validation.configurations}
    found: list[Statement] = []
    tops: list[tuple[RateGrid, Peak]] = []
    for grid in question.grids:
        count = sum(scored_rates(grid, tests, choices))
        if count < FEWEST_RATES:
            detail = f"{count} of {len(grid.configurations)} values of {grid.parameter}"
            found.append(Silence("grid", (grid.method,), detail))
            continue
        top = peak_of(grid, tests, choices)
        if top.at_edge:
            detail = f"{grid.parameter} {grid.rates[top.best]:g}"
            found.append(Silence("edge", (grid.method,), detail))
        else:
            tops.append((grid, top))
    if len(tops) < 2:
        return [*found, Silence("too_few", tuple(grid.method for grid, _ in tops))]
    return [*found, *_comparisons(table, tops, question, spec)]


def _comparisons(
    table: ScoreTable,
    tops: list[tuple[RateGrid, Peak]],
    question: Peaks,
    spec: ConclusionSpec,
) -> list[Statement]:
    grids = [grid for grid, _ in tops]
    # What goes with one configuration of a grid goes with its method.
    carried = [
        (g.method, text) for g in grids for name, text in spec.caveats if name in g.configurations
    ]
    spec = replace(spec, caveats=(*spec.caveats, *carried))
    evidence = Evidence(spec, table.split, peak_components(table, grids, [top for _, top in tops]))
    names = evidence.components.names
    found: list[Statement] = [evidence.best(of_methods=True)]
    if question.control is None:
        found += _judged(evidence, "peaks_all_pairs", all_pairs(len(names)))
    elif question.control in names:
        pairs = against_control(len(names), names.index(question.control))
        found += _judged(evidence, "peaks_against_control", pairs)
    else:
        found.append(Silence("no_control", (question.control,)))
    declared = [
        (names.index(a), names.index(b)) for a, b in question.pairs if a in names and b in names
    ]
    return found + _judged(evidence, "peaks_declared_pairs", declared)


def _judged(evidence: Evidence, family: Family, pairs: list[tuple[int, int]]) -> list[Statement]:
    contrasts = pair_contrasts(evidence.components.names, pairs)
    return [*evidence.judged(family, contrasts)] if contrasts else []
