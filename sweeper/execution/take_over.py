"""Results of a trial that another sweep has finished, taken over in the place of training it."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from sweeper._files import put_whole, write_text
from sweeper.analysis.finished import find_finished
from sweeper.experiment.sweep import FinalSpec
from sweeper.tracking.final_result import FINAL_FILE, FinalResult, is_evaluated, read_final
from sweeper.tracking.stored import TakenFrom
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import RECORD_FILE, SPEC_FILE, TAKEN_FILE, TrialFolder

__all__ = ["take_over"]

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
    other = find_finished(folder.home, [trial.id], but=folder.path).get(trial.id)
    if other is None:
        return False
    sweep = SweepFolder(other.path.parent.parent)
    found = other.read()
    _copy(other.path, trial.path, final=final)
    if other.adapter.is_dir():
        with put_whole(trial.adapter, has_one_writer=True) as place:
            place.mkdir()
            for path in sorted(other.adapter.iterdir()):
                _link(path, place / path.name)
    source = other.taken_from() or TakenFrom(
        sweep=sweep.name,
        sweep_id=sweep.about().sweep_id,
        number=found.number,
        taken_at=datetime.now(UTC),
    )
    _copy_base(sweep, folder, final=final)
    # The record is the last: it says that the rest is there.
    trial.take_over(found, source)
    return True


def _copy(source: Path, target: Path, *, final: FinalSpec) -> None:
    """Copies the files of a trial's results; what grows must not be shared by a link."""
    has_final = _is_as_asked(read_final(source), final)
    for path in sorted(source.iterdir()):
        name = path.name
        is_left = name in _LEFT or name.startswith(".") or name.endswith(_LEFT_ENDS)
        is_final = name.startswith(_FINAL)
        if is_left or path.is_symlink() or not path.is_file() or (is_final and not has_final):
            continue
        if name != FINAL_FILE:
            shutil.copyfile(path, target / name)
    _copy_result(source, target, has_final=has_final)


def _copy_result(source: Path, target: Path, *, has_final: bool) -> None:
    """Copies the result of an evaluation, without its place among the other sweep's trials."""
    result = read_final(source) if has_final else None
    if result is not None:
        text = result.model_copy(update={"chosen_by": {}}).model_dump_json(indent=2)
        write_text(target / FINAL_FILE, text + "\n")


def _copy_base(source: SweepFolder, folder: SweepFolder, *, final: FinalSpec) -> None:
    """Copies what the frozen base scored, where the sweep does not have it yet."""
    for name in _BASE_FILES:
        path = source.path / name
        if path.is_file() and not path.is_symlink() and not (folder.path / name).exists():
            shutil.copyfile(path, folder.path / name)
    if is_evaluated(folder.path) or not _is_as_asked(read_final(source.path), final):
        return
    for path in sorted(source.path.glob(f"{_FINAL}*")):
        if path.is_file() and not path.is_symlink() and path.name != FINAL_FILE:
            shutil.copyfile(path, folder.path / path.name)
    _copy_result(source.path, folder.path, has_final=True)


def _is_as_asked(result: FinalResult | None, final: FinalSpec) -> bool:
    """Returns whether a result is one on the rows that a sweep wants."""
    if result is None or result.error or result.split != final.split:
        return False
    wanted = result.rows_in_split if final.rows is None else min(final.rows, result.rows_in_split)
    return result.rows + result.rows_left_out == wanted


def _link(source: Path, target: Path) -> None:
    """Gives a file of an adapter, which is written once, a second name; copies it elsewhere."""
    if source.is_symlink() or not source.is_file():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
