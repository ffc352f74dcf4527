"""What a sweep tries next and what it stops: decisions, values in and values out, without Ray."""

from __future__ import annotations

__all__: list[str] = []
