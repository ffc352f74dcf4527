"""What the adapter that validation chose is worth over the frozen base, on the same test rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sweeper.analysis.ranking import Ranking
from sweeper.analysis.score_table import trial_name
from sweeper.analysis.statistics import ConfigurationScores, ScoreTable
from sweeper.analysis.statistics.units import by_unit
from sweeper.analysis.statistics.verdicts import (
    ConclusionSpec,
    DeclaredPairs,
    Statement,
    conclude,
    default_delta,
)
from sweeper.errors import BadInputError
from sweeper.estimates import mean_estimate
from sweeper.tracking.row_scores import RowScores

__all__ = ["base_table", "counted_text", "over_base"]

_BASE = "the frozen base"
_CHOSE = "These rows chose the adapter, which flatters it"


def base_table(ranking: Ranking, metric: str, *, sign: int) -> ScoreTable | None:
    """Returns the scores of one adapter and of the base; None where they are not of the same rows.

    Args:
        ranking: of a sweep's trials; the best one's adapter is compared.
        metric: that it is compared by.
        sign: 1 where more of it is better, else -1.
    """
    best, base = ranking.best, ranking.base_rows
    own = None if best is None else ranking.rows.get(best.id)
    if best is None or own is None or base is None or own.fingerprint != base.fingerprint:
        return None
    if metric not in own.metrics or metric not in base.metrics:
        return None
    if not np.array_equal(own.metrics[metric][0], base.metrics[metric][0]):
        return None
    return _table(own, base, metric, f"The adapter of {trial_name(best)}", sign=sign)


def over_base(
    table: ScoreTable | None, *, delta: float | None, is_fraction: bool
) -> tuple[Statement, ...]:
    """Returns the comparison of one adapter with the base: a claim on this adapter alone.

    Args:
        table: of the two, as of :func:`base_table`.
        delta: smallest difference of interest; None for the default, with the base as the control.
        is_fraction: whether the metric is a fraction, such as an accuracy.
    """
    if table is None:
        return ()
    name = table.configurations[0].name
    if delta is None:
        control = float(np.mean(by_unit(table).configurations[1].scores))
        delta = default_delta(is_fraction=is_fraction, control_mean=control)
    caveats = ((name, _CHOSE),) if table.split == "validation" else ()
    pair = DeclaredPairs(((name, _BASE),))
    asked = ConclusionSpec((pair,), delta, claim="adapters", caveats=caveats)
    try:
        return conclude(table, asked).statements
    except BadInputError:
        # Rows whose numbers are not finite are told where the trial's scores are.
        return ()


def counted_text(
    table: ScoreTable | None, on_base: ScoreTable | None, metric: str, *, sign: int
) -> str:
    """Returns why verdicts name fewer rows than were scored, where they do; else nothing.

    Of the adapter and the base it has the means that their difference is of: no table shows them.

    Args:
        table: that the verdicts are of; None where there is none.
        on_base: of the adapter and the base, as of :func:`base_table`.
        metric: that they are compared by.
        sign: 1 where more of it is better, else -1.
    """
    known = [x for x in (table, on_base) if x is not None]
    said = dict.fromkeys(text for each in known for text in _fewer(each))
    if not said:
        return ""
    counted = (
        "Rows of one unit, such as a prompt or a passage, count once in verdicts and in means of "
        "configurations; in the score of a trial each row counts: "
        f"{', '.join(said)}."
    )
    if on_base is None or on_base.clusters is None:
        return counted
    name = on_base.configurations[0].name.replace("The", "the", 1)
    means = [
        mean_estimate((sign * each.scores[0]).tolist()) for each in by_unit(on_base).configurations
    ]
    return f"{counted} Over these {name} has {metric} {means[0]} and {_BASE} {means[1]}."


def _fewer(table: ScoreTable) -> Iterator[str]:
    rows, units = len(table.strata), len(by_unit(table).strata)
    if units < rows:
        yield f"the {rows:,} {table.split} rows are {units:,} independent ones"


def _table(own: RowScores, base: RowScores, metric: str, name: str, *, sign: int) -> ScoreTable:
    rows, values = own.metrics[metric]
    _, others = base.metrics[metric]
    return ScoreTable(
        configurations=(
            ConfigurationScores(name, (0,), sign * values[None]),
            ConfigurationScores(_BASE, (0,), sign * others[None]),
        ),
        strata=own.strata[rows],
        clusters=None if own.clusters is None else own.clusters[rows],
        split=own.split,
        fingerprint=own.fingerprint,
    )
