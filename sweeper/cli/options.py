"""The arguments and options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeper._environment import folder_of, is_url, sweeps_home, sweeps_place

__all__ = [
    "Address",
    "AsJson",
    "Dashboard",
    "Experiment",
    "Fresh",
    "Home",
    "Name",
    "Overrides",
    "ProfileName",
    "SpaceFile",
    "SweepName",
    "TrackingUri",
    "Trial",
    "opened_home",
    "sweep_names",
    "with_fresh",
]

SpaceFile = Annotated[
    Path, typer.Argument(help="A search-space file, such as search_spaces/masa.yaml.")
]


def sweep_names(incomplete: str) -> list[str]:
    """Returns the names of sweeps that begin so, for the shell; those of the default folder.

    Args:
        incomplete: what stands there already.
    """
    # By the files alone: a shell waits for it with each press of a key.
    found = sweeps_home().glob("*/sweep.json")
    return sorted(path.parent.name for path in found if path.parent.name.startswith(incomplete))


SweepName = Annotated[
    str, typer.Argument(help="Name of a sweep, or its folder.", autocompletion=sweep_names)
]

ProfileName = Annotated[
    str | None, typer.Option("--profile", help="Profile to run on: a name or a file.")
]

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set a field: --set train.steps=20 (may be repeated)."),
]

Name = Annotated[str | None, typer.Option("--name", help="Name of the sweep.")]

Home = Annotated[
    str | None,
    typer.Option(
        "--home", help="Folder of all sweeps, or a URL such as s3://… [$SWEEPER_HOME, ./sweeps]."
    ),
]

Address = Annotated[
    str | None,
    typer.Option("--address", help="Ray cluster: auto, host:port [$RAY_ADDRESS, this machine]."),
]

TrackingUri = Annotated[
    str | None,
    typer.Option("--tracking-uri", help="MLflow's store [$MLFLOW_TRACKING_URI, SQLite in --home]."),
]

Experiment = Annotated[
    str | None,
    typer.Option(
        "--experiment",
        help="MLflow's experiment [the sweep's, $MLFLOW_EXPERIMENT_NAME, sweeper].",
    ),
]

Dashboard = Annotated[
    bool,
    typer.Option(
        "--dashboard",
        help="Start Ray's dashboard with the Ray of this machine, and print its link.",
    ),
]

Trial = Annotated[
    str,
    typer.Argument(
        metavar="RUN_OR_TRIAL",
        autocompletion=sweep_names,
        help="A sweep (its best trial), a trial's number in the newest sweep, its id or the id's "
        "first digits, SWEEP/TRIAL with one of these, a folder, or an MLflow run id.",
    ),
]

Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Train every trial, also those that another sweep of --home has finished.",
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def opened_home(home: str | None, *, sweep: str | None = None) -> Path:
    """Returns the folder of all sweeps; of a URL, that of working copies brought up to date.

    Args:
        home: what was given for it, if anything.
        sweep: the one that is wanted; all where None.

    Raises:
        BadInputError: the URL names no store, or the store does not answer.
    """
    place = home or sweeps_place()
    if not is_url(place):
        return folder_of(place)
    from sweeper.tracking.mirror import follow_home

    return follow_home(place, sweep=sweep)


def with_fresh(overrides: list[str] | None, fresh: bool) -> list[str]:
    """Returns the overrides, and with ``--fresh`` the one that it stands for."""
    return [*(overrides or []), *(["fresh=true"] if fresh else [])]
