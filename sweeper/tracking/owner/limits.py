"""What a sweep may take, and what it has taken: the files ``limits.json`` and ``usage.json``.

Only the time in which a driver runs counts. A driver notes it with each of its words, so that of
one that was killed :data:`UNSAID_S` at most is not noted; as much is charged for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, Field

from sweeper._files import write_json
from sweeper._text import bytes_text, duration
from sweeper.tracking.owner.life import BEAT_S
from sweeper.tracking.stored import MAX_COUNT, STORED, read_stored

__all__ = [
    "LIMITS_FILE",
    "UNSAID_S",
    "USAGE_FILE",
    "Limits",
    "Meter",
    "Period",
    "Usage",
    "joined",
    "limits_of",
    "note_limits",
    "usage_of",
]

LIMITS_FILE = "limits.json"
"""Name of the file with what the sweep may take."""
USAGE_FILE = "usage.json"
"""Name of the file with what it has taken."""
UNSAID_S = 3 * BEAT_S
"""Seconds that are charged for a driver that was killed, besides those that it noted: it notes them
every :data:`~sweeper.tracking.owner.life.BEAT_S` seconds, and may be late while Ray is asked."""


class Limits(BaseModel):
    """``limits.json``: what a sweep may take, over all of its runs."""

    model_config = STORED

    max_hours: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Hours in which a driver runs; None without a limit."""
    max_cost: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Price of the workers in these hours, in the currency of ``resources.price_per_hour``."""
    max_memory_bytes: int | None = Field(default=None, gt=0, le=MAX_COUNT)
    """Memory of one worker."""

    @property
    def has_time(self) -> bool:
        """Whether they limit the time, by hours or by a price."""
        return self.max_hours is not None or self.max_cost is not None

    def over(self, other: Limits) -> Limits:
        """Returns these limits, and the other ones where these say nothing."""
        return type(self)(**{**other.model_dump(), **self.model_dump(exclude_none=True)})

    def left_s(self, usage: Usage, *, per_hour: float | None) -> float | None:
        """Returns the seconds that are left; None where the time has no limit.

        Args:
            usage: so far.
            per_hour: price of an hour from now on, of all workers; None without a price.
        """
        left = []
        if self.max_hours is not None:
            left.append(3600 * self.max_hours - usage.seconds)
        if self.max_cost is not None and per_hour:
            left.append(3600 * (self.max_cost - usage.cost) / per_hour)
        return min(left) if left else None

    def __str__(self) -> str:
        """Returns the limits in words."""
        said = []
        if self.max_hours is not None:
            said.append(duration(3600 * self.max_hours))
        if self.max_cost is not None:
            said.append(f"a cost of {self.max_cost:g}")
        if self.max_memory_bytes is not None:
            said.append(f"{bytes_text(self.max_memory_bytes)} a worker")
        return " and ".join(said)


class Period(BaseModel):
    """A time in which a driver has run the sweep."""

    model_config = STORED

    driver: str = Field(pattern="^[0-9a-f]{12}$")
    """Which start of a driver."""
    started_at: AwareDatetime
    """When, UTC."""
    seconds: float = Field(default=0, ge=0, allow_inf_nan=False)
    """How long it has run, as far as it is noted."""
    per_hour: float = Field(default=0, ge=0, allow_inf_nan=False)
    """Price of an hour of all workers; 0 where none is known."""
    is_closed: bool = False
    """Whether the driver ended by itself; one that did not was killed, or runs."""

    @property
    def charged_s(self) -> float:
        """Seconds that count."""
        return self.seconds + (0.0 if self.is_closed else UNSAID_S)


class Usage(BaseModel):
    """``usage.json``: the periods of a sweep, the earliest first."""

    model_config = STORED

    periods: tuple[Period, ...] = ()
    """The periods."""

    @property
    def seconds(self) -> float:
        """Seconds of all periods."""
        return sum(period.charged_s for period in self.periods)

    @property
    def cost(self) -> float:
        """Price of all periods."""
        return sum(period.charged_s * period.per_hour / 3600 for period in self.periods)


def limits_of(folder: Path) -> Limits:
    """Returns what a sweep may take; without a file, anything.

    Args:
        folder: of the sweep.

    Raises:
        DamagedFileError: the file cannot be read.
    """
    return read_stored(folder / LIMITS_FILE, Limits) or Limits()


def usage_of(folder: Path) -> Usage:
    """Returns what a sweep has taken so far.

    Args:
        folder: of the sweep.

    Raises:
        DamagedFileError: the file cannot be read.
    """
    return read_stored(folder / USAGE_FILE, Usage) or Usage()


def joined(usages: Iterable[Usage]) -> Usage:
    """Returns what sweeps have taken that share their limits, each period once.

    Args:
        usages: of the sweeps. Where two have the same period, the one that says more of it counts.
    """
    found: dict[tuple[str, datetime], Period] = {}
    for period in (each for usage in usages for each in usage.periods):
        key = (period.driver, period.started_at)
        known = found.setdefault(key, period)
        if (period.is_closed, period.seconds) > (known.is_closed, known.seconds):
            found[key] = period
    return Usage(periods=tuple(sorted(found.values(), key=lambda period: period.started_at)))


def note_limits(folder: Path, limits: Limits) -> None:
    """Writes what a sweep may take; OSError where that cannot be written.

    Args:
        folder: of the sweep.
        limits: all of them.
    """
    write_json(folder / LIMITS_FILE, limits.model_dump(mode="json"))


@dataclass
class Meter:
    """Notes how long a driver runs; for one thread at a time."""

    folder: Path
    """Of the sweep."""
    driver: str
    """Which start of a driver."""
    clock: Callable[[], float]
    """Seconds that only grow."""
    shared: Usage = field(default_factory=Usage)
    """What sweeps have taken that share its limits."""

    def __post_init__(self) -> None:
        """Begins a period after those that there are.

        Raises:
            DamagedFileError: what there is cannot be read: nobody knows what is left.
        """
        self.before = joined([usage_of(self.folder), self.shared])
        """What earlier runs have taken, and sweeps that share the limits."""
        self._began_s = self.clock()
        self._period = Period(driver=self.driver, started_at=datetime.now(UTC))

    @property
    def usage(self) -> Usage:
        """What the sweep has taken until now, this period as one that ends now."""
        seconds = max(0.0, self.clock() - self._began_s)
        period = self._period.model_copy(update={"seconds": seconds, "is_closed": True})
        return Usage(periods=(*self.before.periods, period))

    def price(self, per_hour: float | None) -> None:
        """Takes the price of an hour of all workers, for the whole period."""
        self._period = self._period.model_copy(update={"per_hour": per_hour or 0.0})

    def note(self, *, is_last: bool = False) -> None:
        """Writes how long the period has been; OSError where that cannot be written.

        Args:
            is_last: whether the driver ends.
        """
        *before, period = self.usage.periods
        now = period.model_copy(update={"is_closed": is_last})
        whole = Usage(periods=(*before, now))
        # The next one follows in seconds; what a loss of power costs is charged.
        write_json(self.folder / USAGE_FILE, whole.model_dump(mode="json"), is_durable=is_last)
