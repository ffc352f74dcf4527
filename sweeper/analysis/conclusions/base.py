"""What the adapter that validation chose is worth over the frozen base, on the same test rows."""

from __future__ import annotations

import numpy as np

from sweeper.analysis.ranking import Ranking
from sweeper.analysis.score_table import trial_name
from sweeper.analysis.statistics import ConfigurationScores, ScoreTable
from sweeper.analysis.statistics.verdicts import (
    ConclusionSpec,
    DeclaredPairs,
    Statement,
    conclude,
    default_delta,
)
from sweeper.errors import BadInputError
from sweeper.tracking.row_scores import RowScores

__all__ = ["over_base"]

_BASE = "the frozen base"
_CHOSE = "These rows chose the adapter, which flatters it"


def over_base(
    ranking: Ranking, metric: str, *, sign: int, delta: float | None, is_fraction: bool
) -> tuple[Statement, ...]:
    """Returns the comparison of one adapter with the base: a claim on this adapter alone.

    Args:
        ranking: of a sweep's trials; the best one's adapter is compared.
        metric: that it is compared by.
        sign: 1 where more of it is better, else -1.
        delta: smallest difference of interest; None for the default, with the base as the control.
        is_fraction: whether the metric is a fraction, such as an accuracy.

    Returns:
        Nothing where the two were not scored on the same rows.
    """
    best, base = ranking.best, ranking.base_rows
    own = None if best is None else ranking.rows.get(best.id)
    if best is None or own is None or base is None or own.fingerprint != base.fingerprint:
        return ()
    if metric not in own.metrics or metric not in base.metrics:
        return ()
    if not np.array_equal(own.metrics[metric][0], base.metrics[metric][0]):
        return ()
    name = f"The adapter of {trial_name(best)}"
    table = _table(own, base, metric, name, sign=sign)
    if delta is None:
        delta = default_delta(is_fraction=is_fraction, control_mean=_mean(base, metric))
    caveats = ((name, _CHOSE),) if own.split == "validation" else ()
    pair = DeclaredPairs(((name, _BASE),))
    asked = ConclusionSpec((pair,), delta, claim="adapters", caveats=caveats)
    try:
        return conclude(table, asked).statements
    except BadInputError:
        # Rows whose numbers are not finite are told where the trial's scores are.
        return ()


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


def _mean(scores: RowScores, metric: str) -> float:
    return float(np.mean(scores.metrics[metric][1]))
