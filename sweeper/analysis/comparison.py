"""Two models compared on the same rows."""

from __future__ import annotations

from pathlib import Path

from sweeper.analysis.statistics.paired import differences
from sweeper.estimates import Estimate
from sweeper.tracking.final_result import FinalResult, read_final, read_rows

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
    trial, base = read_final(folder), read_final(base_folder)
    if trial is None or base is None or not trial.has_rows_of(base):
        return {}
    return differences(_by_row(folder, trial), _by_row(base_folder, base))


def _by_row(folder: Path, result: FinalResult) -> dict[str, Estimate]:
    return {
        name: Estimate(result.metrics[name], None, len(values), values)
        for name, values in read_rows(folder).items()
        if values and name in result.metrics
    }
