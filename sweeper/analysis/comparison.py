"""Two models compared on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sweeper.analysis.statistics.paired import differences
from sweeper.errors import DamagedFileError
from sweeper.estimates import Estimate
from sweeper.tracking.final_result import FinalResult
from sweeper.tracking.row_scores import FINAL_ROWS, RowScores, read_row_scores
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["gains_over_base"]


def gains_over_base(
    folder: SweepFolder, finals: Mapping[str, FinalResult], base: FinalResult | None
) -> dict[str, dict[str, Estimate]]:
    """Returns by how much trials' metrics differ from the frozen base's, on the same rows.

    By trial, and by metric: each is the trial's minus the base's with the error of paired examples
    (:func:`sweeper.analysis.statistics.paired.difference`), without those metrics that either does
    not have by row. Nothing of a trial where one of the two has no rows, or they are others.

    Args:
        folder: of the sweep.
        finals: results after the search, by trial.
        base: that of the frozen base.
    """
    base_rows = None if base is None else _rows(folder.path, base)
    if base is None or base_rows is None:
        return {}
    of_base = _by_row(base, base_rows)
    found = {}
    for name, result in finals.items():
        rows = _rows(folder.trial(name).path, result)
        if rows is not None and rows.fingerprint == base_rows.fingerprint:
            found[name] = differences(_by_row(result, rows), of_base)
    return found


def _rows(folder: Path, result: FinalResult) -> RowScores | None:
    """Returns what each row contributed to a result; None where nobody knows."""
    try:
        return None if result.error else read_row_scores(folder / FINAL_ROWS)
    except DamagedFileError:
        return None


def _by_row(result: FinalResult, scores: RowScores) -> dict[str, Estimate]:
    return {
        name: Estimate(result.metrics[name], None, len(values), tuple(values.tolist()))
        for name, (_, values) in scores.metrics.items()
        if name in result.metrics
    }
