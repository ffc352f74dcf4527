"""Trials that other sweeps of one folder have finished, found by what they are."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from sweeper.errors import BadInputError
from sweeper.evaluation.adapter.checking import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from sweeper.models.inspection.checkpoint import read_headers
from sweeper.tracking.mirror import StoreError, fetch
from sweeper.tracking.row_scores import VALIDATION_ROWS, read_row_scores
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in
from sweeper.tracking.trial_folder import RECORD_FILE, TrialFolder

__all__ = ["find_finished", "source_of"]


def find_finished(
    home: Path,
    trial_ids: Collection[str],
    *,
    but: Path | None = None,
    is_preferred: Callable[[TrialFolder], bool] = lambda _: True,
) -> dict[str, TrialFolder]:
    """Returns the folder of each of the trials that a sweep has finished.

    A trial is named by its spec, the content of its data and its model, and the version of the
    program: what has its name is the same trial. One that failed or was stopped early is none, and
    so is one of which a file is missing or cut short: record, reports, rows or adapter.

    Args:
        home: folder of all sweeps.
        trial_ids: identities.
        but: folder of the sweep that is not looked into.
        is_preferred: of several sweeps that finished a trial, the first one whose folder it
            prefers is taken, else the first one's.
    """
    found: dict[str, TrialFolder] = {}
    for path in sweeps_in(home):
        if but is not None and path.absolute() == but.absolute():
            continue
        for trial_id in trial_ids:
            folder, known = TrialFolder(path / "trials" / trial_id), found.get(trial_id)
            is_sought = known is None or (not is_preferred(known) and is_preferred(folder))
            if is_sought and _is_finished(folder):
                found[trial_id] = folder
    return found


def source_of(trial: TrialFolder) -> str:
    """Returns the name of the sweep that trained a trial, which its own sweep may not have."""
    source = trial.taken_from()
    return trial.path.parent.parent.name if source is None else source.sweep


def _is_finished(trial: TrialFolder) -> bool:
    if not (trial.path / RECORD_FILE).is_file():
        return False
    try:
        record = trial.read()
        sweep = SweepFolder(trial.path.parent.parent).about()
        return record.status == "complete" and bool(sweep.sweep_id) and _is_whole(trial)
    except (BadInputError, StoreError):
        return False


def _is_whole(trial: TrialFolder) -> bool:
    """Returns whether all is there that a complete trial leaves; raises where a file is damaged."""
    adapter = trial.adapter
    fetch(adapter)
    if not all((adapter / name).is_file() for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)):
        return False
    # The header says how long the file is: a copy that was cut short is none.
    read_headers(adapter / ADAPTER_WEIGHTS)
    record, reported = trial.read(), trial.points()
    has_end = bool(reported) and max(point.step for point in reported) == record.steps
    rows = read_row_scores(trial.path / VALIDATION_ROWS)
    return has_end and rows is not None and rows.step == record.steps
