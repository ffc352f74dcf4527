"""What is said of tuned methods."""

from __future__ import annotations

from dataclasses import replace

from sweeper.analysis.statistics.questions import (
    Peak,
    RateGrid,
    against_control,
    all_pairs,
    difference_weights,
    peaks,
)
from sweeper.analysis.statistics.table import ScoreTable
from sweeper.analysis.statistics.verdicts.conclusions import Family, Silence, Statement
from sweeper.analysis.statistics.verdicts.families import DeclaredContrast
from sweeper.analysis.statistics.verdicts.judging import Evidence
from sweeper.analysis.statistics.verdicts.spec import ConclusionSpec, Peaks
from sweeper.errors import BadInputError

__all__ = ["peak_statements"]

_FEWEST_RATES = 3


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
        BadInputError: There are no validation scores, or they lack a configuration or a seed.
    """
    if validation is None:
        raise BadInputError(
            "tuned methods: got no validation scores; the rate is chosen by them; score every "
            "trial of the grid on validation"
        )
    scored = {each.name for each in table.configurations}
    found: list[Statement] = []
    grids = []
    for grid in question.grids:
        count = len(scored.intersection(grid.configurations))
        if count < _FEWEST_RATES:
            detail = f"{count} of {len(grid.configurations)} values of {grid.parameter}"
            found.append(Silence("grid", (grid.method,), detail))
        else:
            grids.append(grid)
    if grids:
        tops, _ = peaks(table, validation, tuple(grids))
        found += [_edge(grid, top) for grid, top in zip(grids, tops, strict=True) if top.at_edge]
        grids = [grid for grid, top in zip(grids, tops, strict=True) if not top.at_edge]
    if len(grids) < 2:
        return [*found, Silence("too_few", tuple(grid.method for grid in grids))]
    # What goes with one configuration of a grid goes with its method.
    carried = [
        (g.method, text) for g in grids for name, text in spec.caveats if name in g.configurations
    ]
    spec = replace(spec, caveats=(*spec.caveats, *carried))
    return [*found, *_comparisons(table, validation, replace(question, grids=tuple(grids)), spec)]


def _comparisons(
    table: ScoreTable, validation: ScoreTable, question: Peaks, spec: ConclusionSpec
) -> list[Statement]:
    _, components = peaks(table, validation, question.grids)
    names = components.names
    family: Family = "peaks_all_pairs"
    pairs = all_pairs(len(names))
    if question.control is not None:
        family = "peaks_against_control"
        if question.control not in names:
            return [Silence("missing", (question.control,))]
        pairs = against_control(len(names), names.index(question.control))
    weights = difference_weights(len(names), pairs)
    contrasts = [
        DeclaredContrast("pair", (names[a], names[b]), row)
        for (a, b), row in zip(pairs, weights, strict=True)
    ]
    evidence = Evidence(spec, table.split, components)
    return [evidence.best(of_methods=True), *evidence.judged(family, contrasts)]


def _edge(grid: RateGrid, top: Peak) -> Silence:
    return Silence("edge", (grid.method,), f"{grid.parameter} {grid.rates[top.best]:g}")
