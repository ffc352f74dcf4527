"""Where MLflow keeps a sweep, the command that shows it, and the addresses of its pages."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from sweeper import _environment

__all__ = [
    "artifact_root",
    "comparison_url",
    "experiment_url",
    "is_server",
    "public_uri",
    "resolve_tracking_uri",
    "sqlite_file",
    "ui_command",
]

# Of MLflow's own web pages; a longer address is cut by some browsers.
MAX_COMPARED_RUNS = 100


def resolve_tracking_uri(home: Path | str, tracking_uri: str | None = None) -> str:
    """Returns where to log: the argument, else ``MLFLOW_TRACKING_URI``, else SQLite in ``home``."""
    chosen = tracking_uri or _environment.tracking_uri()
    return chosen or f"sqlite:///{Path(home).absolute() / 'mlflow.db'}"


def is_server(tracking_uri: str) -> bool:
    """Whether the URI is a server's, which has web pages and a place for artifacts of its own."""
    return urlsplit(tracking_uri).scheme in {"http", "https"}


def _is_database(tracking_uri: str) -> bool:
    # "postgresql+psycopg2" is PostgreSQL, too.
    scheme = urlsplit(tracking_uri).scheme.partition("+")[0]
    return scheme in {"sqlite", "postgresql", "mysql", "mssql"}


def sqlite_file(tracking_uri: str) -> Path | None:
    """Returns the file of an SQLite store, None for any other store."""
    parts = urlsplit(tracking_uri)
    # sqlite:///relative/path and sqlite:////absolute/path.
    return Path(parts.path[1:]) if parts.scheme == "sqlite" and parts.path[1:] else None


def artifact_root(home: Path | str, tracking_uri: str) -> Path | None:
    """Returns the folder for artifacts beside a database; None where MLflow has its own place."""
    return Path(home).absolute() / "mlartifacts" if _is_database(tracking_uri) else None


def public_uri(tracking_uri: str) -> str:
    """Returns the URI without a user's name and password, fit for messages and files."""
    parts = urlsplit(tracking_uri)
    _, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host)) if at else tracking_uri


def ui_command(
    home: Path | str,
    port: int = 5000,
    *,
    host: str = "127.0.0.1",
    tracking_uri: str | None = None,
) -> list[str]:
    """Returns the command line that serves MLflow's web pages on the store of these sweeps.

    Args:
        home: folder of all sweeps.
        port: to listen on.
        host: address to listen on.
        tracking_uri: the store, where it is not the one in ``home``; not a server.
    """
    uri = resolve_tracking_uri(home, tracking_uri)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    root = artifact_root(home, uri)
    if root is not None:
        command += ["--default-artifact-root", root.as_uri()]
    # One worker answers one person, and is up seconds sooner than MLflow's four.
    return [*command, "--host", host, "--port", str(port), "--workers", "1"]


def experiment_url(base_url: str, experiment_id: str) -> str:
    """Returns the page of an experiment; without an identity that of all experiments."""
    page = f"{base_url.rstrip('/')}/#/experiments"
    return f"{page}/{experiment_id}" if experiment_id else page


def comparison_url(base_url: str, *, experiment_id: str, run_ids: Sequence[str]) -> str:
    """Returns MLflow's page that compares these runs, the first hundred of them.

    Args:
        base_url: ``http://127.0.0.1:5000`` or a server's.
        experiment_id: of the runs.
        run_ids: in the order in which they are to be shown.
    """
    # The form of MLflow 3.17's own links (Routes.getCompareRunPageRoute in its web client).
    runs, experiments = (
        quote(json.dumps(ids, separators=(",", ":")), safe="")
        for ids in (list(run_ids)[:MAX_COMPARED_RUNS], [experiment_id])
    )
    return f"{base_url.rstrip('/')}/#/compare-runs?runs={runs}&experiments={experiments}"
