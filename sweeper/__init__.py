"""Sweeps of MASA, MoSA and their rivals on Ray, DeepSpeed and MLflow.

In Python a sweep is run by :func:`run`, methods are compared by :func:`compare`, both are looked at
before by :func:`plan`, and opened by :func:`open`. They are imported when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeper.cli.notebook import SweepResults, compare, plan, run
    from sweeper.cli.notebook import open_sweep as open  # noqa: A004 - as in `sweeper.open(name)`

__all__ = ["SweepResults", "__version__", "compare", "open", "plan", "run"]

__version__ = "0.1.0"

# The function whose short name is Python's own.
_NAMES = {
    "SweepResults": "SweepResults",
    "compare": "compare",
    "open": "open_sweep",
    "plan": "plan",
    "run": "run",
}


def __getattr__(name: str) -> object:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # By its name: a room that asks for the version depends on no other room.
    return getattr(importlib.import_module("sweeper.cli.notebook"), _NAMES[name])
