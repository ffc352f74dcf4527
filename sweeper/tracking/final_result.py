"""The final evaluation, on disk: a selected trial's scores on rows that the search never saw."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sweeper._files import read_json, write_text
from sweeper.errors import TrialError
from sweeper.experiment.sweep import FinalSpec

__all__ = ["FINAL_FILE", "ROWS_FILE", "FinalResult", "is_evaluated", "read_final", "write_final"]

FINAL_FILE = "final.json"
"""Name of the file: in the folder of a trial, and in that of the sweep for the frozen base."""
ROWS_FILE = "final_rows.json"
"""Name of the file beside it that holds what each example contributes to each metric."""


class FinalResult(BaseModel):
    """The result of the final evaluation of a trial, or of the frozen base."""

    # Unknown fields are dropped, not refused: an older report can read a newer file.
    model_config = ConfigDict(
        frozen=True, extra="ignore", use_attribute_docstrings=True, ser_json_inf_nan="strings"
    )

    split: str
    """``test``, or ``validation`` where the sweep says so."""
    rows: int = Field(ge=0)
    """Examples evaluated."""
    rows_left_out: int = Field(default=0, ge=0)
    """Examples left out, because an answer is too long for ``train.max_length``."""
    rows_in_split: int = Field(ge=0)
    """Examples that the split has."""
    metrics: dict[str, float] = {}
    """All metrics of the evaluation."""
    protocol: dict[str, JsonValue] = {}
    """How it was done: rows by task, how many by likelihood, how answers were generated."""
    chosen_by: dict[str, JsonValue] = {}
    """Metric and value on the validation split by which a trial was chosen, and its place."""
    data_fingerprint: str = ""
    """Hash of the data that the rows are from."""
    wall_time_s: float = 0.0
    """Seconds that it took."""
    ended_at: datetime = datetime.fromtimestamp(0, UTC)
    """When it was done, UTC."""
    contributions: dict[str, tuple[float, ...]] = Field(default={}, exclude=True)
    """What each example contributes to a metric, kept in a file of its own; see
    :func:`sweeper.analysis.comparison.gains_over_base`."""
    error: str = ""
    """Why there are no metrics; empty where there are."""

    def has_rows_of(self, other: FinalResult) -> bool:
        """Whether another result is of the same examples."""

        def rows(result: FinalResult) -> tuple[object, ...]:
            asked = result.protocol.get("task_rows")
            counts = (result.rows, result.rows_left_out, result.rows_in_split, asked)
            return (result.split, result.data_fingerprint, *counts)

        return not self.error and not other.error and rows(self) == rows(other)

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

    Args:
        folder: of the trial, or of the sweep.
    """
    content = read_json(folder / FINAL_FILE)
    return None if content is None else FinalResult.model_validate(content)


def is_evaluated(folder: Path) -> bool:
    """Whether there is a result that has metrics.

    Args:
        folder: of the trial, or of the sweep.
    """
    found = read_final(folder)
    return found is not None and not found.error


def write_final(folder: Path, result: FinalResult) -> None:
    """Writes a result; one that has metrics is never replaced.

    Args:
        folder: of the trial, or of the sweep.
        result: what was found.

    Raises:
        TrialError: there is a result already.
    """
    if is_evaluated(folder):
        raise TrialError(
            f"{folder / FINAL_FILE} already holds a result; the final evaluation of a trial runs "
            "once; keep the existing result"
        )
    rows = {
        # Float32 made them; more digits would say nothing.
        name: [float(f"{value:.7g}") for value in values]
        for name, values in result.contributions.items()
    }
    # Before the result, which says that the work is done.
    write_text(folder / ROWS_FILE, json.dumps(rows, separators=(",", ":")) + "\n")
    write_text(folder / FINAL_FILE, result.model_dump_json(indent=2) + "\n")
