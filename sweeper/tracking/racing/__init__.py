"""What is on disk of the races between the trials of a sweep."""

from __future__ import annotations

from sweeper.tracking.racing.incumbents import Incumbent, Incumbents

__all__ = ["Incumbent", "Incumbents"]
