"""Optuna's dashboard on a sweep's study."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from sweeper._files import sqlite_uri
from sweeper.errors import BadInputError, MissingError
from sweeper.tracking.pages.hosts import Place
from sweeper.tracking.pages.mlflow_pages import newest_sweep
from sweeper.tracking.pages.serving import serve
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["serve_study"]

# The program that its package installs, whatever folder that went to.
_RUN = """
from importlib.metadata import entry_points
(command,) = entry_points(group="console_scripts", name="optuna-dashboard")
command.load()()
"""


def serve_study(
    home: Path, *, sweep: str | None, place: Place, tell: Callable[[str], None]
) -> None:
    """Serves Optuna's dashboard on a sweep's study until it is interrupted.

    Args:
        home: folder of all sweeps.
        sweep: whose study; the newest's where None.
        place: to listen on.
        tell: prints a line.

    Raises:
        MissingError: optuna-dashboard is not installed.
        BadInputError: there is no sweep or no study, the port is taken, or it did not come up.
    """
    if find_spec("optuna_dashboard") is None:
        raise MissingError(
            "the package optuna-dashboard is not installed; ui --optuna needs it; run: pip "
            "install 'masa-mosa-sweeper[dashboard]'"
        )
    folder = newest_sweep(home) if sweep is None else SweepFolder.open(sweep, home=home)
    study = folder.path / "optuna.db"
    if not study.is_file():
        raise BadInputError(
            f"sweep: {folder.name!r} has no study ({study} is missing); Optuna's dashboard shows "
            f"one; 'resume {folder.name}' makes it again"
        )
    place.require_free()
    command = [sys.executable, "-c", _RUN, sqlite_uri(study)]
    serve(
        [*command, "--host", place.host, "--port", str(place.port)],
        os.environ,
        name="Optuna's dashboard",
        health_url=f"{place.url}/dashboard",
        opened=lambda: tell(f"Study of {folder.name}:  {place.url}/dashboard"),
        tell=tell,
    )
