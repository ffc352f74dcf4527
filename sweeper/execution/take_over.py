"""Results of a trial that another sweep has finished, taken over in the place of training it."""

from __future__ import annotations

import logging
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from sweeper._files import put_whole, write_text
from sweeper.analysis.finished import find_finished
from sweeper.errors import DamagedFileError
from sweeper.experiment.sweep import FinalSpec
from sweeper.tracking.final_result import FINAL_FILE, FinalResult, is_evaluated, read_final
from sweeper.tracking.row_scores import FINAL_ROWS, read_row_scores
from sweeper.tracking.stored import TakenFrom
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import RECORD_FILE, SPEC_FILE, TAKEN_FILE, TrialFolder

__all__ = ["take_over"]

logger = logging.getLogger(__name__)

# What is the other sweep's own: how the trial stands there, and what MLflow was sent of it.
_LEFT = {SPEC_FILE, RECORD_FILE, TAKEN_FILE, "mlflow.json"}
_LEFT_ENDS = (".damaged", ".lock")
# What the frozen base scored: the sweep's, not a trial's.
_BASE_FILES = ("base.json", "evaluation.json")
_FINAL = FINAL_FILE.partition(".")[0]


def take_over(folder: SweepFolder, trial: TrialFolder, *, final: FinalSpec) -> bool:
    """Returns whether a trial that has not begun has the results of another sweep of the folder.

    They are its record, its metrics, its adapter and, where it was evaluated on the same rows, its
    evaluation after the search. With them comes what the frozen base scored there: sweeps that
    share a trial share model, data and protocol.

    Args:
        folder: the sweep.
        trial: of it; described already.
        final: the sweep's evaluation after the search.
    """
    record = trial.read()
    if record.status != "queued" or record.attempts:
        return False
    found = find_finished(
        folder.home,
        [trial.id],
        but=folder.path,
        is_preferred=lambda other: _final_of(other.path, final) is not None,
    )
    other = found.get(trial.id)
    if other is None:
        return False
    try:
        _take(folder, trial, other, final=final)
    except FileNotFoundError as error:
        # Its sweep is being deleted.
        _discard(trial)
        logger.warning(
            "trial %s is trained, though %s had finished it: %s went away meanwhile",
            *(trial.id, other.path.parent.parent.name, error.filename),
        )
        return False
    return True


def _take(folder: SweepFolder, trial: TrialFolder, other: TrialFolder, *, final: FinalSpec) -> None:
    sweep, found = SweepFolder(other.path.parent.parent), other.read()
    source = other.taken_from() or TakenFrom(
        sweep=sweep.name,
        sweep_id=sweep.about().sweep_id,
        number=found.number,
        taken_at=datetime.now(UTC),
    )
    _copy(other.path, trial.path, final=final)
    with put_whole(trial.adapter, has_one_writer=True) as place:
        place.mkdir()
        for path in sorted(other.adapter.iterdir()):
            _link(path, place / path.name)
    _copy_base(sweep, folder, final=final)
    # The record is the last: it says that the rest is there.
    trial.take_over(found, source)


def _discard(trial: TrialFolder) -> None:
    """Removes what was copied beside the description of a trial that has not begun."""
    for path in trial.path.iterdir():
        if path.name not in {SPEC_FILE, RECORD_FILE} and path.is_file():
            path.unlink()


def _copy(source: Path, target: Path, *, final: FinalSpec) -> None:
    """Copies the files of a trial's results; what grows must not be shared by a link."""
    result = _final_of(source, final)
    for path in sorted(source.iterdir()):
        name = path.name
        is_left = name in _LEFT or name.startswith(".") or name.endswith(_LEFT_ENDS)
        is_final = name.startswith(_FINAL)
        if is_left or not _is_plain(path) or (is_final and result is None):
            continue
        if name != FINAL_FILE:
            shutil.copyfile(path, target / name)
    _write_result(target, result)


def _write_result(target: Path, result: FinalResult | None) -> None:
    """Writes the result of an evaluation, without its place among the other sweep's trials."""
    if result is not None:
        text = result.model_copy(update={"chosen_by": {}}).model_dump_json(indent=2)
        write_text(target / FINAL_FILE, text + "\n")


def _copy_base(source: SweepFolder, folder: SweepFolder, *, final: FinalSpec) -> None:
    """Copies what the frozen base scored, where the sweep does not have it yet."""
    for name in _BASE_FILES:
        path = source.path / name
        if path.exists() and _is_plain(path) and not (folder.path / name).exists():
            shutil.copyfile(path, folder.path / name)
    result = None if is_evaluated(folder.path) else _final_of(source.path, final)
    if result is None:
        return
    for path in sorted(source.path.glob(f"{_FINAL}*")):
        if _is_plain(path) and path.name != FINAL_FILE:
            shutil.copyfile(path, folder.path / path.name)
    _write_result(folder.path, result)


def _final_of(folder: Path, final: FinalSpec) -> FinalResult | None:
    """Returns the result in a folder that is on the rows a sweep wants and has each of them."""
    result = read_final(folder)
    if result is None or result.error or result.split != final.split:
        return None
    wanted = result.rows_in_split if final.rows is None else min(final.rows, result.rows_in_split)
    if result.rows + result.rows_left_out != wanted:
        return None
    try:
        return None if read_row_scores(folder / FINAL_ROWS) is None else result
    except DamagedFileError:
        return None


def _link(source: Path, target: Path) -> None:
    """Gives a file of an adapter, which is written once, a second name; copies it elsewhere."""
    if not _is_plain(source):
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _is_plain(path: Path) -> bool:
    """Returns whether a path is a file and no link; of one that has just gone away, too."""
    return not path.is_symlink() and (path.is_file() or not path.exists())
