"""Optuna's dashboard on a sweep's study."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from sweeper.errors import BadInputError, MissingError
from sweeper.tracking.databases import answering, place_of_study
from sweeper.tracking.pages.hosts import Place
from sweeper.tracking.pages.mlflow_pages import newest_sweep
from sweeper.tracking.pages.serving import serve
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["serve_study"]

# The program that its package installs, whatever folder that went to. Everybody on a machine can
# read a command line, and a database's address has its password.
_RUN = """
import os, sys
from importlib.metadata import entry_points
sys.argv.insert(1, os.environ["SWEEPER_OPTUNA_STORAGE"])
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
        BadInputError: there is no sweep or no study, its database does not answer, the port is
            taken, or the dashboard did not come up.
    """
    if find_spec("optuna_dashboard") is None:
        raise MissingError(
            "the package optuna-dashboard is not installed; ui --optuna needs it; run: pip "
            "install 'masa-mosa-sweeper[dashboard]'"
        )
    folder = newest_sweep(home) if sweep is None else SweepFolder.open(sweep, home=home)
    study = place_of_study(folder)
    if not study.is_there:
        raise BadInputError(
            f"sweep: {folder.name!r} has no study ({study} is missing); Optuna's dashboard shows "
            f"one; 'resume {folder.name}' makes it again"
        )
    place.require_free()
    if study.path is None:
        with answering(study.uri, what="the studies' database", hint="see that it runs"):
            pass
        tell(f"Name of the study:  {study.name}")
    command = [sys.executable, "-c", _RUN]
    serve(
        [*command, "--host", place.host, "--port", str(place.port)],
        {**os.environ, "SWEEPER_OPTUNA_STORAGE": study.address},
        name="Optuna's dashboard",
        health_url=f"{place.url}/dashboard",
        opened=lambda: tell(f"Study of {folder.name}:  {place.url}/dashboard"),
        tell=tell,
    )
