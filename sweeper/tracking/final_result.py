"""The final evaluation, on disk: a selected trial's scores on rows that the search never saw."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, Field, JsonValue

from sweeper._files import write_text
from sweeper.errors import DamagedFileError, TrialError
from sweeper.experiment.sweep import FinalSpec
from sweeper.tracking.row_scores import (
    FINAL_ROWS,
    RowScores,
    row_scores_damage,
    write_row_scores,
)
from sweeper.tracking.stored import MAX_COUNT, STORED, Keep, nothing_kept, read_stored

__all__ = [
    "FINAL_FILE",
    "FinalResult",
    "evaluation_damage",
    "is_evaluated",
    "read_final",
    "write_final",
]

FINAL_FILE = "final.json"
"""Name of the file: in the folder of a trial, and in that of the sweep for the frozen base."""


class FinalResult(BaseModel):
    """The result of the final evaluation of a trial, or of the frozen base."""

    model_config = STORED

    split: str
    """``test``, or ``validation`` where the sweep says so."""
    rows: int = Field(ge=0, le=MAX_COUNT)
    """Examples evaluated."""
    rows_left_out: int = Field(default=0, ge=0, le=MAX_COUNT)
    """Examples left out, because an answer is too long for ``train.max_length``."""
    rows_in_split: int = Field(ge=0, le=MAX_COUNT)
    """Examples that the split has."""
    metrics: dict[str, float] = {}
    """All metrics of the evaluation."""
    protocol: dict[str, JsonValue] = {}
    """How it was done: rows by task, how many by likelihood, how answers were generated."""
    chosen_by: dict[str, JsonValue] = {}
    """Metric and value on the validation split by which a trial was chosen, and its place."""
    data_fingerprint: str = ""
    """Hash of the data that the rows are from."""
    wall_time_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Seconds that it took."""
    ended_at: AwareDatetime = datetime.fromtimestamp(0, UTC)
    """When it was done, UTC."""
    error: str = ""
    """Why there are no metrics; empty where there are."""

    @classmethod
    def failed(cls, final: FinalSpec, error: str) -> FinalResult:
        """Returns the result of an evaluation that failed.

        Args:
            final: what was wanted.
            error: why there are no metrics.
        """
        now = datetime.now(UTC)
        return cls(split=final.split, rows=0, rows_in_split=0, ended_at=now, error=error)


def read_final(folder: Path) -> FinalResult | None:
    """Returns the result of a trial's folder, or of a sweep's for the frozen base, if there is one.

    One that is damaged is none: it is evaluated again. See :func:`evaluation_damage`.

    Args:
        folder: of the trial, or of the sweep.
    """
    try:
        return read_stored(folder / FINAL_FILE, FinalResult)
    except DamagedFileError:
        return None


def evaluation_damage(folder: Path, *, keep: Keep = nothing_kept) -> list[DamagedFileError]:
    """Returns what is wrong with the final result and the rows kept; nothing where all is well.

    Args:
        folder: of the trial, or of the sweep.
        keep: called with the result and the rows.
    """
    found = []
    try:
        result = read_stored(folder / FINAL_FILE, FinalResult)
        if result is not None:
            keep(folder, FINAL_FILE, result)
    except DamagedFileError as error:
        found.append(error)
    return found + row_scores_damage(folder, keep=keep)


def is_evaluated(folder: Path) -> bool:
    """Whether there is a result that has metrics.

    Args:
        folder: of the trial, or of the sweep.
    """
    found = read_final(folder)
    return found is not None and not found.error


def write_final(folder: Path, result: FinalResult, rows: RowScores | None = None) -> None:
    """Writes a result; one that has metrics is never replaced.

    Args:
        folder: of the trial, or of the sweep.
        result: what was found.
        rows: what each row contributes; None where there are no metrics.

    Raises:
        TrialError: there is a result already.
    """
    if is_evaluated(folder):
        raise TrialError(
            f"{folder / FINAL_FILE} already holds a result; the final evaluation of a trial runs "
            "once; keep the existing result"
        )
    if rows is not None:
        # Before the result, which says that the work is done.
        write_row_scores(folder / FINAL_ROWS, rows)
    write_text(folder / FINAL_FILE, result.model_dump_json(indent=2) + "\n")
