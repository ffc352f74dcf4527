"""The record of one trial: progress, outcome and cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, JsonValue, SkipValidation

from sweeper.tracking.stored import MAX_COUNT, MAX_WORD, STORED

__all__ = ["Course", "TrialFailure", "TrialRecord", "TrialStatus"]


TrialStatus = Literal["queued", "running", "complete", "pruned", "stopped", "failed", "superseded"]
FINAL: frozenset[str] = frozenset({"complete", "pruned", "stopped", "failed", "superseded"})

Course = Literal["on", "prune", "stop", "pause"]
"""What becomes of a trial in training: it goes on; the search or a callback ends it; its owner ends
it; or it makes room, and goes on from a checkpoint when its sweep is resumed."""


_Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


# Errors in what was asked for. A lost replica, a full disk or memory may be there the next time.
_RECURRING = frozenset(
    {"DataError", "DivergedError", "SpecError", "TypeError", "ValidationError", "ValueError"}
)


class TrialFailure(BaseModel):
    """Why a trial failed."""

    model_config = STORED

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


class TrialRecord(BaseModel):
    """The state of a trial; written by the process that runs it, read by all others."""

    model_config = STORED

    id: str
    """Identity by content, 12 hex digits."""
    number: _Count
    """Position in the order of suggestion."""
    method: str = Field(max_length=MAX_WORD)
    """Name of the method."""
    origin: str = Field(default="search", max_length=MAX_WORD)
    """Origin of the suggestion: ``baseline``, ``search``, …"""
    params: dict[str, SkipValidation[JsonValue]] = {}
    """Searched parameters and the method's fields, by dotted path."""
    status: TrialStatus = "queued"
    """Status of the trial; ``stopped`` is one that its owner has stopped."""
    ended_by: str = Field(default="", max_length=MAX_WORD)
    """What of its own ended a trial before all of its steps: of a complete one ``patience``, of a
    pruned one ``race with`` the identity that it has lost to; else empty."""
    is_finalist: bool = False
    """Whether the search has let it go on, one of the best where all had been stopped."""
    steps: _Count = 0
    """Optimiser steps reported."""
    steps_total: _Count = 0
    """Optimiser steps of the whole trial; 0 if unknown."""
    metrics: dict[str, float] = {}
    """Last value of each metric."""
    lowest: dict[str, float] = {}
    """Lowest value of each metric."""
    highest: dict[str, float] = {}
    """Highest value of each metric."""
    wall_time_s: _Seconds = 0.0
    """Seconds from begin to end, summed over the attempts; waiting in the queue does not count."""
    train_time_s: _Seconds = 0.0
    """Seconds of it in training steps, over the attempts that ended."""
    overhead_s: _Seconds = 0.0
    """Seconds of it outside training steps, over the same attempts."""
    attempts: _Count = 0
    """Number of attempts."""
    nodes: list[str] = []
    """Machines of the workers of the last attempt, in the order of their ranks, as Ray names them:
    by their addresses where nobody named them; empty on a cluster of one machine."""
    error: TrialFailure | None = None
    """Why it failed, or why its last attempt did."""
    superseded_by: str = ""
    """Identity of the trial that the same suggestion became under other data or another version of
    the program."""
    trainable: _Count = 0
    """Trainable parameters; 0 if unknown."""
    total: _Count = 0
    """All parameters; 0 if unknown."""
    started_at: AwareDatetime | None = None
    """Begin of the first attempt, UTC."""
    ended_at: AwareDatetime | None = None
    """When it completed, was pruned, was stopped or failed, UTC."""
    attempt_started_at: AwareDatetime | None = None
    """Begin of the attempt that is running."""

    @property
    def is_final(self) -> bool:
        """Whether the trial has ended: complete, pruned, stopped, failed or superseded."""
        return self.status in FINAL

    @property
    def status_text(self) -> str:
        """The status, with what ended the trial before all of its steps."""
        return f"{self.status} ({self.ended_by})" if self.ended_by else self.status

    @property
    def steps_text(self) -> str:
        """Steps done, of how many where that is known."""
        return f"{self.steps}/{self.steps_total}" if self.steps_total else str(self.steps)

    @property
    def percent(self) -> float:
        """Trainable parameters in percent of all, 0 if unknown."""
        return 100 * self.trainable / self.total if self.total else 0.0

    def with_attempt(self, *, wall_s: float, steps_s: float) -> TrialRecord:
        """Returns the record with the time of one more attempt.

        Args:
            wall_s: seconds from its begin to its end.
            steps_s: seconds of them in training steps.
        """
        wall_s = max(0.0, wall_s)
        changes = {
            "wall_time_s": self.wall_time_s + wall_s,
            "train_time_s": self.train_time_s + steps_s,
            "overhead_s": self.overhead_s + max(0.0, wall_s - steps_s),
        }
        return self.model_copy(update=changes)
