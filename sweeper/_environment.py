"""The environment variables of this package: read here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "cache_root",
    "data_root",
    "experiment_name",
    "hide_progress_bars",
    "is_hub_offline",
    "mlflow_asked_once",
    "quieten_mlflow",
    "ray_address",
    "ray_folder",
    "sweeps_home",
    "tracking_uri",
]


def data_root() -> Path | None:
    """Returns the folder of tasks and relative data paths (``SWEEPER_DATA``), if one is set."""
    value = os.environ.get("SWEEPER_DATA", "")
    return _expanded(value) if value else None


def cache_root() -> Path:
    """Returns the folder for converted models: ``SWEEPER_CACHE``, else the user's cache folder."""
    value = os.environ.get("SWEEPER_CACHE", "")
    if value:
        return _expanded(value)
    user_cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(user_cache) if user_cache else Path.home() / ".cache") / "masa-mosa-sweeper"


def is_hub_offline() -> bool:
    """Whether the Hub must not be asked (``HF_HUB_OFFLINE``, by its own rule for what is true)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def sweeps_home() -> Path:
    """Returns the folder of all sweeps: ``SWEEPER_HOME``, else ``sweeps`` in the working folder."""
    return _expanded(os.environ.get("SWEEPER_HOME", "") or "sweeps")


def ray_address() -> str | None:
    """Returns the address of the Ray cluster to use (``RAY_ADDRESS``), if one is set."""
    return os.environ.get("RAY_ADDRESS") or None


def ray_folder() -> Path:
    """Returns where Ray puts its temporary files: ``RAY_TMPDIR``, else ``TMPDIR``, by its rule."""
    return Path(os.environ.get("RAY_TMPDIR", os.environ.get("TMPDIR", "/tmp")))


def tracking_uri() -> str | None:
    """Returns MLflow's own setting of where to log (``MLFLOW_TRACKING_URI``), if there is one."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def experiment_name() -> str | None:
    """Returns MLflow's own setting of the experiment (``MLFLOW_EXPERIMENT_NAME``), if any."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or None


def hide_progress_bars() -> None:
    """Keeps the bars of the Hub's libraries off the terminal, where the user has set nothing else.

    They read this variable when they are imported, so this comes first.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def quieten_mlflow(*, is_file: bool = False) -> None:
    """Keeps MLflow off standard output and off the network, where the user has set nothing else.

    MLflow reads these variables when it is imported, so this comes first.

    Args:
        is_file: the store is a file, which may be replaced: no connection to it is kept open.
    """
    if is_file:
        os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # A server that does not answer is asked again by the next sync, which waits longer each time.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


@contextmanager
def mlflow_asked_once() -> Iterator[None]:
    """Has MLflow ask a server once in the body, and wait for it 10 s, not longer."""
    quieten_mlflow()
    short = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    before = {name: os.environ[name] for name in short}
    os.environ.update(short)
    try:
        yield
    finally:
        os.environ.update(before)


def _expanded(value: str) -> Path:
    """Returns a path; where ``~`` names nobody it is a name like any other."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        return Path(value)
