"""The model and the data that come with the sweeper, and the scripts that make both."""

from __future__ import annotations

__all__: list[str] = []
