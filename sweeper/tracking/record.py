"""The record of one trial: how far it is, how it ended, what it cost."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

__all__ = ["TrialFailure", "TrialRecord", "TrialStatus"]


TrialStatus = Literal["queued", "running", "complete", "pruned", "failed"]


FINAL: frozenset[str] = frozenset({"complete", "pruned", "failed"})


class _Record(BaseModel):
    # Unknown fields are dropped, not refused: an older report can read a newer record.
    model_config = ConfigDict(
        frozen=True, extra="ignore", use_attribute_docstrings=True, ser_json_inf_nan="strings"
    )


class TrialFailure(_Record):
    """Why a trial failed."""

    type: str
    """Name of the exception, or of what happened to the replica."""
    message: str
    """The exception's text."""
    traceback: str = ""
    """The whole traceback, where there is one."""


class TrialRecord(_Record):
    """What is known of a trial; written by whoever runs it, read by everybody else."""

    id: str
    """Identity by content, 12 hex digits."""
    number: int = Field(ge=0)
    """Place in the order in which the sweep suggested its trials."""
    method: str
    """Name of the method."""
    origin: str = "search"
    """Who suggested it: ``baseline``, ``search``, …"""
    params: dict[str, JsonValue] = {}
    """What was searched, and the method's fields, by dotted path."""
    status: TrialStatus = "queued"
    """Where the trial stands."""
    steps: int = 0
    """Optimiser steps reported."""
    steps_total: int = 0
    """Optimiser steps of the whole trial; 0 where it is not known."""
    metrics: dict[str, float] = {}
    """Last value of each metric."""
    lowest: dict[str, float] = {}
    """Lowest value of each metric."""
    highest: dict[str, float] = {}
    """Highest value of each metric."""
    wall_time_s: float = 0.0
    """Seconds from begin to end, summed over the attempts; waiting in the queue does not count."""
    train_time_s: float = 0.0
    """Seconds of it in training steps, as the attempts that ended have told."""
    overhead_s: float = 0.0
    """Seconds of it outside training steps, over the same attempts."""
    attempts: int = 0
    """Times the trial was begun."""
    error: TrialFailure | None = None
    """Why it failed, or why its last attempt did."""
    trainable: int = 0
    """Trainable parameters; 0 where it is not known."""
    total: int = 0
    """All parameters; 0 where it is not known."""
    started_at: datetime | None = None
    """Begin of the first attempt, UTC."""
    ended_at: datetime | None = None
    """When it completed, was pruned or failed, UTC."""
    attempt_started_at: datetime | None = None
    """Begin of the attempt that is running."""

    @property
    def is_final(self) -> bool:
        """Whether the trial has ended: complete, pruned or failed."""
        return self.status in FINAL

    @property
    def percent(self) -> float:
        """Trainable parameters in percent of all, 0 where it is not known."""
        return 100 * self.trainable / self.total if self.total else 0.0
