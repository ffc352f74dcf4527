"""The environment variables of this package: read here and nowhere else."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "cache_root",
    "calibration_s",
    "data_root",
    "experiment_name",
    "folder_of",
    "has_fork_server",
    "hide_progress_bars",
    "is_hub_offline",
    "is_url",
    "keep_off_hub",
    "mlflow_asked_once",
    "optuna_storage",
    "quieten_mlflow",
    "ray_address",
    "ray_folder",
    "s3_endpoint",
    "secret",
    "sweeps_home",
    "sweeps_place",
    "tracking_uri",
    "without_terminal",
]

# What says that a pipe is a terminal. A notebook's kernel sets it for its own output.
_TERMINAL = frozenset(
    {"CLICOLOR_FORCE", "FORCE_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
)


def without_terminal() -> dict[str, str]:
    """Returns the environment for a program whose output is read: it would move a cursor else."""
    return {name: value for name, value in os.environ.items() if name not in _TERMINAL}


def data_root() -> Path | None:
    """Returns the folder of tasks and relative data paths (``SWEEPER_DATA``), if one is set."""
    value = os.environ.get("SWEEPER_DATA", "")
    return _expanded(value) if value else None


def calibration_s() -> float:
    """Returns the seconds that measuring a few steps may take: ``SWEEPER_CALIBRATION_S``, or 60.

    At 0, and where it is no number, nothing is measured.
    """
    try:
        found = float(os.environ.get("SWEEPER_CALIBRATION_S", "") or 60)
    except ValueError:
        return 0.0
    return found if 0 < found < float("inf") else 0.0


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


def has_fork_server() -> bool:
    """Whether a local Ray's processes are forks (``SWEEPER_FORK_SERVER``): unless it is ``0``."""
    return os.environ.get("SWEEPER_FORK_SERVER", "") != "0"


def sweeps_place() -> str:
    """Returns where sweeps are kept: ``SWEEPER_HOME``, else ``sweeps`` in the working folder."""
    return os.environ.get("SWEEPER_HOME", "") or "sweeps"


def sweeps_home() -> Path:
    """Returns the folder of all sweeps; of a place with a URL, that of their working copies."""
    return folder_of(sweeps_place())


def folder_of(place: str) -> Path:
    """Returns the folder on this machine of a place where sweeps are kept.

    Args:
        place: a folder, or a URL, whose working copies lie in a folder of ``SWEEPER_COPIES``.
    """
    if not is_url(place):
        return _expanded(place)
    place = place.rstrip("/")
    # Which server it is belongs to the place; the name shows the rest.
    name = re.sub(r"[^A-Za-z0-9]+", "-", place.partition("?")[0]).strip("-")[:80]
    return _copies_root() / f"{name}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def is_url(place: str) -> bool:
    """Whether a place where sweeps are kept is no folder of this machine."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", place) is not None


def _copies_root() -> Path:
    value = os.environ.get("SWEEPER_COPIES", "")
    if value:
        return _expanded(value)
    user_data = os.environ.get("XDG_DATA_HOME", "")
    root = Path(user_data) if user_data else Path.home() / ".local" / "share"
    return root / "masa-mosa-sweeper" / "sweeps"


def s3_endpoint() -> str:
    """Returns the address of an S3 server that is not Amazon's, empty without one."""
    return os.environ.get("AWS_ENDPOINT_URL_S3", "") or os.environ.get("AWS_ENDPOINT_URL", "")


def ray_address() -> str | None:
    """Returns the address of the Ray cluster to use (``RAY_ADDRESS``), if one is set."""
    return os.environ.get("RAY_ADDRESS") or None


def ray_folder() -> Path:
    """Returns where Ray puts its temporary files: ``RAY_TMPDIR``, else ``TMPDIR``, by its rule."""
    return Path(os.environ.get("RAY_TMPDIR", os.environ.get("TMPDIR", "/tmp")))


def tracking_uri() -> str | None:
    """Returns MLflow's own setting of where to log (``MLFLOW_TRACKING_URI``), if there is one."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def optuna_storage() -> str:
    """Returns the database of the studies of new sweeps (``SWEEPER_OPTUNA_STORAGE``), or nothing.

    It may hold a password.
    """
    return os.environ.get("SWEEPER_OPTUNA_STORAGE", "").strip()


def experiment_name() -> str | None:
    """Returns MLflow's own setting of the experiment (``MLFLOW_EXPERIMENT_NAME``), if any."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or None


def secret(name: str) -> str:
    """Returns what a variable of the user's own holds that must be written nowhere; empty if unset.

    Args:
        name: the one that a sweep's file gives (``notify.url_env``).
    """
    return os.environ.get(name, "").strip()


def keep_off_hub() -> None:
    """Keeps this process from asking the Hub for anything.

    Its libraries read this variable when they are imported, so this comes first.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"


def hide_progress_bars() -> None:
    """Keeps the bars of the Hub's libraries off the terminal, where the user has set nothing else.

    They read this variable when they are imported, so this comes first.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def quieten_mlflow(*, is_replaced: bool = False) -> None:
    """Keeps MLflow off standard output and off the network, where the user has set nothing else.

    MLflow reads these variables when it is imported, so this comes first. Where another library, or
    the user's notebook, has imported it before, its logger is told the same.

    Args:
        is_replaced: the store is a file, or a server, that may be replaced by another one: no
            connection to it is kept open.
    """
    if is_replaced:
        os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    if "mlflow" in sys.modules:
        level = logging.getLevelNamesMapping().get(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
        logging.getLogger("mlflow").setLevel(logging.WARNING if level is None else level)
    # It logs a traceback of each fault of a database that it raises; we say a sentence.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
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
