"""The record of one trial: progress, outcome and cost."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

__all__ = ["TrialFailure", "TrialRecord", "TrialStatus"]


TrialStatus = Literal["queued", "running", "complete", "pruned", "failed", "superseded"]
FINAL: frozenset[str] = frozenset({"complete", "pruned", "failed", "superseded"})


class _Record(BaseModel):
    # Unknown fields are dropped, not refused: an older report can read a newer record.
    model_config = ConfigDict(
        frozen=True, extra="ignore", use_attribute_docstrings=True, ser_json_inf_nan="strings"
    )


# Errors in what was asked for. A lost replica, a full disk or memory may be there the next time.
_RECURRING = frozenset(
    {"DataError", "DivergedError", "SpecError", "TypeError", "ValidationError", "ValueError"}
)


class TrialFailure(_Record):
    """Why a trial failed."""

    type: str
    """Name of the exception, or of what happened to the replica."""
    message: str
    """The exception's text."""
    traceback: str = ""
    """The whole traceback, where there is one."""

    @property
    def recurs(self) -> bool:
        """Whether the same trial would fail again: its own values are the reason."""
        return self.type in _RECURRING


class TrialRecord(_Record):
    """The state of a trial; written by the process that runs it, read by all others."""

    id: str
    """Identity by content, 12 hex digits."""
    number: int = Field(ge=0)
    """Position in the order of suggestion."""
    method: str
    """Name of the method."""
    origin: str = "search"
    """Origin of the suggestion: ``baseline``, ``search``, …"""
    params: dict[str, JsonValue] = {}
    """Searched parameters and the method's fields, by dotted path."""
    status: TrialStatus = "queued"
    """Status of the trial."""
    steps: int = 0
    """Optimiser steps reported."""
    steps_total: int = 0
    """Optimiser steps of the whole trial; 0 if unknown."""
    metrics: dict[str, float] = {}
    """Last value of each metric."""
    lowest: dict[str, float] = {}
    """Lowest value of each metric."""
    highest: dict[str, float] = {}
    """Highest value of each metric."""
    wall_time_s: float = 0.0
    """Seconds from begin to end, summed over the attempts; waiting in the queue does not count."""
    train_time_s: float = 0.0
    """Seconds of it in training steps, over the attempts that ended."""
    overhead_s: float = 0.0
    """Seconds of it outside training steps, over the same attempts."""
    attempts: int = 0
    """Number of attempts."""
    error: TrialFailure | None = None
    """Why it failed, or why its last attempt did."""
    superseded_by: str = ""
    """Identity of the trial that the same suggestion became under other data or another version of
    the program."""
    trainable: int = 0
    """Trainable parameters; 0 if unknown."""
    total: int = 0
    """All parameters; 0 if unknown."""
    started_at: datetime | None = None
    """Begin of the first attempt, UTC."""
    ended_at: datetime | None = None
    """When it completed, was pruned or failed, UTC."""
    attempt_started_at: datetime | None = None
    """Begin of the attempt that is running."""

    @property
    def is_final(self) -> bool:
        """Whether the trial has ended: complete, pruned, failed or superseded."""
        return self.status in FINAL

    @property
    def percent(self) -> float:
        """Trainable parameters in percent of all, 0 if unknown."""
        return 100 * self.trainable / self.total if self.total else 0.0
