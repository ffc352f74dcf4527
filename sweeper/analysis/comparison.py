"""Two models compared on the same rows."""

from __future__ import annotations

from pathlib import Path

from sweeper.analysis.statistics.paired import differences
from sweeper.errors import DamagedFileError
from sweeper.estimates import Estimate
from sweeper.tracking.final_result import FinalResult, read_final
from sweeper.tracking.row_scores import FINAL_ROWS, RowScores, read_row_scores

__all__ = ["gains_over_base"]


def gains_over_base(folder: Path, base_folder: Path) -> dict[str, Estimate]:
    """Returns by how much a trial's metrics differ from the frozen base's, on the same rows.

    Each is the trial's minus the base's with the error of paired examples
    (:func:`sweeper.analysis.statistics.paired.difference`); without those that either does not have
    by example. Nothing where one of the two has no result, or they are of other rows.

    Args:
        folder: of the trial.
        base_folder: of its sweep.
    """
    trial, base = _final(folder), _final(base_folder)
    if trial is None or base is None or trial[1].fingerprint != base[1].fingerprint:
        return {}
    return differences(_by_row(*trial), _by_row(*base))


def _final(folder: Path) -> tuple[FinalResult, RowScores] | None:
    """Returns the evaluation after the search with its rows; None where one of them is missing."""
    result = read_final(folder)
    try:
        rows = read_row_scores(folder / FINAL_ROWS)
    except DamagedFileError:
        return None
    return None if result is None or result.error or rows is None else (result, rows)


def _by_row(result: FinalResult, scores: RowScores) -> dict[str, Estimate]:
    return {
        name: Estimate(result.metrics[name], None, len(values), tuple(values.tolist()))
        for name, (_, values) in scores.metrics.items()
        if name in result.metrics
    }
