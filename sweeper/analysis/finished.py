"""Trials that other sweeps of one folder have finished, found by what they are."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sweeper.errors import DamagedFileError
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in
from sweeper.tracking.trial_folder import RECORD_FILE, TrialFolder

__all__ = ["find_finished", "source_of"]


def find_finished(
    home: Path, trial_ids: Collection[str], *, but: Path | None = None
) -> dict[str, TrialFolder]:
    """Returns the folder of each of the trials that a sweep has finished, the first sweep's.

    A trial is named by its spec, its data and the version of the program: what has its name is the
    same trial. One that failed, was stopped early, or has lost a file or its adapter is none.

    Args:
        home: folder of all sweeps.
        trial_ids: identities.
        but: folder of the sweep that is not looked into.
    """
    found: dict[str, TrialFolder] = {}
    for path in sweeps_in(home):
        if but is not None and path.absolute() == but.absolute():
            continue
        for trial_id in trial_ids:
            folder = TrialFolder(path / "trials" / trial_id)
            if trial_id not in found and _is_finished(folder):
                found[trial_id] = folder
    return found


def source_of(trial: TrialFolder) -> str:
    """Returns the name of the sweep that trained a trial, which its own sweep may not have."""
    source = trial.taken_from()
    return trial.path.parent.parent.name if source is None else source.sweep


def _is_finished(trial: TrialFolder) -> bool:
    if not (trial.path / RECORD_FILE).is_file() or not trial.adapter.is_dir():
        return False
    try:
        record = trial.read()
        sweep = SweepFolder(trial.path.parent.parent).about()
    except DamagedFileError:
        return False
    return record.status == "complete" and bool(record.metrics) and bool(sweep.sweep_id)
