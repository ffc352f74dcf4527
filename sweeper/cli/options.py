"""The arguments and options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Address",
    "AsJson",
    "Fresh",
    "Home",
    "Overrides",
    "ProfileName",
    "SpaceFile",
    "SweepName",
    "TrackingUri",
    "Trial",
    "with_fresh",
]

SpaceFile = Annotated[
    Path, typer.Argument(help="A search-space file, such as search_spaces/masa.yaml.")
]

SweepName = Annotated[str, typer.Argument(help="Name of a sweep, or its folder.")]

ProfileName = Annotated[
    str | None, typer.Option("--profile", help="Profile to run on: a name or a file.")
]

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set a field: --set train.steps=20 (may be repeated)."),
]

Home = Annotated[
    Path | None, typer.Option("--home", help="Folder of all sweeps [$SWEEPER_HOME, ./sweeps].")
]

Address = Annotated[
    str | None,
    typer.Option("--address", help="Ray cluster: auto, host:port [$RAY_ADDRESS, this machine]."),
]

TrackingUri = Annotated[
    str | None,
    typer.Option("--tracking-uri", help="MLflow's store [$MLFLOW_TRACKING_URI, SQLite in --home]."),
]

Trial = Annotated[
    str,
    typer.Argument(
        metavar="RUN_OR_TRIAL",
        help="A sweep (its best trial), a trial's id or its first digits, SWEEP/TRIAL, a folder, "
        "or an MLflow run id.",
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


def with_fresh(overrides: list[str] | None, fresh: bool) -> list[str]:
    """Returns the overrides, and with ``--fresh`` the one that it stands for."""
    return [*(overrides or []), *(["fresh=true"] if fresh else [])]
