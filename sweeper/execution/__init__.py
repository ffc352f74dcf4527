"""How a sweep is run: a driver, Ray Tune's thin trials, and a pool of replicas that train."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeper.execution.after.final_jobs import final_jobs
    from sweeper.execution.cluster import connect, disconnect
    from sweeper.execution.driver import SweepDriver
    from sweeper.execution.trial_factory import TrialFactory

__all__ = [
    "SweepDriver",
    "TrialFactory",
    "connect",
    "disconnect",
    "final_jobs",
]

_HOME = {
    "SweepDriver": "sweeper.execution.driver",
    "TrialFactory": "sweeper.execution.trial_factory",
    "connect": "sweeper.execution.cluster",
    "disconnect": "sweeper.execution.cluster",
    "final_jobs": "sweeper.execution.after.final_jobs",
}


def __getattr__(name: str) -> object:
    """Returns a public name, importing its module on first use.

    Each worker of a replica imports this package for the pool alone; the driver's imports, Tune and
    Optuna among them, would take twice as long as its own.
    """
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Returns the public names."""
    return sorted(__all__)
