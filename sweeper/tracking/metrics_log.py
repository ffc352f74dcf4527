"""The metrics of one trial: a file that only grows, one JSON line for each step that was reported.

A trial that resumes from a checkpoint appends a line that takes back the steps after it. Nothing is
ever rewritten, so that readers in other processes can remember how far they have read.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic_core import from_json

from sweeper._files import append_line, dumps, read_bytes
from sweeper.tracking.stored import MAX_COUNT

__all__ = ["MetricPoint", "MetricSummary", "MetricsLog", "Rewind"]

logger = logging.getLogger(__name__)

# The end of the year 9999, after which Python has no dates.
MAX_UNIX_TIME_S = 253_402_300_799.0


@dataclass(frozen=True)
class MetricPoint:
    """What a trial reported at one step."""

    step: int
    """Optimiser steps done, from 0."""
    unix_time_s: float
    """When it was reported."""
    metrics: Mapping[str, float]
    """Values by name; NaN and infinities are kept."""


@dataclass(frozen=True)
class Rewind:
    """The trial went back: what was reported for later steps no longer counts."""

    step: int
    """The last step that counts."""


class MetricsLog:
    """Reads a trial's metrics file, each line once; appends to it."""

    def __init__(self, path: Path, *, offset: int = 0) -> None:
        """Starts reading at ``offset``.

        Args:
            path: the file; it need not exist yet.
            offset: bytes already read, from an earlier reader's :attr:`offset`.
        """
        self.path = path
        self.offset = offset

    def read_new(self) -> list[MetricPoint | Rewind]:
        """Returns the lines added since the last call; a line still being written waits.

        Raises:
            DamagedFileError: it is no file, or cannot be read; a line that cannot be is left out.
        """
        text = read_bytes(self.path, offset=self.offset)
        if text is None:
            return []
        whole, newline, _ = text.rpartition(b"\n")
        self.offset += len(whole) + len(newline)
        entries = [_parse(line) for line in whole.split(b"\n") if line.strip()]
        return [entry for entry in entries if entry is not None]

    def append(self, entry: MetricPoint | Rewind) -> None:
        """Adds one line; the trial's worker is the only one that does.

        Raises:
            OSError: the file cannot be written, or is a link.
        """
        if isinstance(entry, Rewind):
            append_line(self.path, dumps({"rewind_to": entry.step}))
            return
        line = {"step": entry.step, "unix_time_s": entry.unix_time_s, "metrics": entry.metrics}
        append_line(self.path, dumps(line))


def _parse(line: bytes) -> MetricPoint | Rewind | None:
    try:
        content = from_json(line)
        if "rewind_to" in content:
            return Rewind(_step(content["rewind_to"]))
        metrics = {str(key): float(value) for key, value in content["metrics"].items()}
        time_s = float(content["unix_time_s"])
        if not 0 <= time_s <= MAX_UNIX_TIME_S:
            raise ValueError(f"no time: {time_s}")
        return MetricPoint(_step(content["step"]), time_s, metrics)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        # Cut short by a crash; the step is reported again after the resume.
        logger.debug("a line of metrics cannot be read: %s", error)
        return None


def _step(value: object) -> int:
    step = int(value)  # type: ignore[call-overload]
    if not 0 <= step <= MAX_COUNT:
        raise ValueError(f"no step: {step}")
    return int(step)


@dataclass
class MetricSummary:
    """The points that count, and of each metric the last, the lowest and the highest value."""

    points: list[MetricPoint] = field(default_factory=list)
    """In the order of their report."""
    last: dict[str, float] = field(default_factory=dict)
    """Value reported last."""
    lowest: dict[str, float] = field(default_factory=dict)
    """Lowest value; NaN never counts."""
    highest: dict[str, float] = field(default_factory=dict)
    """Highest value; NaN never counts."""

    @property
    def steps(self) -> int:
        """The latest step that was reported, 0 without any."""
        return max((point.step for point in self.points), default=0)

    def add(self, entry: MetricPoint | Rewind) -> None:
        """Takes in one line of the log."""
        if isinstance(entry, Rewind):
            kept = [point for point in self.points if point.step <= entry.step]
            self.points, self.last, self.lowest, self.highest = [], {}, {}, {}
            for point in kept:
                self.add(point)
            return
        self.points.append(entry)
        for name, value in entry.metrics.items():
            self.last[name] = value
            if not math.isnan(value):
                self.lowest[name] = min(value, self.lowest.get(name, value))
                self.highest[name] = max(value, self.highest.get(name, value))
