"""A first search space for one's own model and data: both are looked at, a file is proposed."""

from __future__ import annotations

from sweeper.preflight.start.looking import Look, look_at
from sweeper.preflight.start.proposing import Proposed, propose
from sweeper.preflight.start.writing import require_free, search_space_of, write_new

__all__ = [
    "Look",
    "Proposed",
    "look_at",
    "propose",
    "require_free",
    "search_space_of",
    "write_new",
]
