"""What came of one thing that was tried."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["DryRunFinding"]


@dataclass(frozen=True)
class DryRunFinding:
    """One thing that was tried."""

    name: str
    status: Literal["ok", "no", "not at hand"]
    """``no``: a sweep would fail on it. ``not at hand``: it could not be tried here."""
    detail: str
    fix: str = ""
    """What to do about it."""

    def document(self) -> dict[str, str]:
        """Returns the finding as plain JSON."""
        return asdict(self)
