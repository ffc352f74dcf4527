"""Two models compared on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sweeper.analysis.statistics.paired import differences
from sweeper.errors import DamagedFileError
from sweeper.estimates import Estimate
from sweeper.tracking.final_result import FinalResult
from sweeper.tracking.row_scores import FINAL_ROWS, RowScores, read_row_scores

__all__ = ["final_rows", "gains_over_base"]


def final_rows(folder: Path, result: FinalResult | None) -> RowScores | None:
    """Returns what each row contributed to a result after the search; None where nobody knows.

    Args:
        folder: of the trial, or of the sweep for the frozen base.
        result: its result, if there is one.
    """
    if result is None or result.error:
        # Rows of an earlier evaluation may be there.
        return None
    try:
        return read_row_scores(folder / FINAL_ROWS)
    except DamagedFileError:
        return None


def gains_over_base(
    finals: Mapping[str, FinalResult],
    rows: Mapping[str, RowScores],
    base: FinalResult | None,
    base_rows: RowScores | None,
) -> dict[str, dict[str, Estimate]]:
    """Returns by how much trials' metrics differ from the frozen base's, on the same rows.

    By trial, and by metric: each is the trial's minus the base's with the error of paired examples
    (:func:`sweeper.analysis.statistics.paired.difference`), without those metrics that either does
    not have by row. Nothing of a trial where one of the two has no rows, or they are others.

    Args:
        finals: results after the search, by trial.
        rows: their rows, by trial.
        base: result of the frozen base.
        base_rows: its rows.
    """
    if base is None or base_rows is None:
        return {}
    of_base = _by_row(base, base_rows)
    return {
        name: differences(_by_row(finals[name], own), of_base)
        for name, own in rows.items()
        if own.fingerprint == base_rows.fingerprint
    }


def _by_row(result: FinalResult, scores: RowScores) -> dict[str, Estimate]:
    return {
        name: Estimate(result.metrics[name], None, len(values), tuple(values.tolist()))
        for name, (_, values) in scores.metrics.items()
        if name in result.metrics
    }
