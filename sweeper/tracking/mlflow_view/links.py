"""Where MLflow keeps a sweep, the command that shows it, and the addresses of its pages."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from sweeper import _environment
from sweeper._files import sqlite_uri
from sweeper.tracking.databases import scheme_of

__all__ = [
    "artifact_root",
    "comparison_url",
    "experiment_url",
    "is_server",
    "resolve_experiment",
    "resolve_tracking_uri",
    "run_url",
    "runs_url",
    "sqlite_file",
    "ui_command",
    "ui_environment",
]

DEFAULT_EXPERIMENT = "sweeper"

# Of MLflow's own web pages; a longer address is cut by some browsers.
MAX_COMPARED_RUNS = 100


def resolve_tracking_uri(home: Path | str, tracking_uri: str | None = None) -> str:
    """Returns where to log: the argument, else ``MLFLOW_TRACKING_URI``, else SQLite in ``home``."""
    chosen = tracking_uri or _environment.tracking_uri()
    return chosen or sqlite_uri(Path(home).absolute() / "mlflow.db")


def resolve_experiment(experiment: str | None = None, *, known: str = "") -> str:
    """Returns the experiment to log to, by name.

    That is the argument, else the one that the sweep was sent to before, else MLflow's own
    ``MLFLOW_EXPERIMENT_NAME``, else ``sweeper``.

    Args:
        experiment: asked for.
        known: where the sweep is already.
    """
    return experiment or known or _environment.experiment_name() or DEFAULT_EXPERIMENT


def is_server(tracking_uri: str) -> bool:
    """Whether the URI is a server's, which has web pages and a place for artifacts of its own."""
    return scheme_of(tracking_uri) in {"http", "https"}


def _is_database(tracking_uri: str) -> bool:
    # "postgresql+psycopg2" is PostgreSQL, too.
    return scheme_of(tracking_uri).partition("+")[0] in {"sqlite", "postgresql", "mysql", "mssql"}


def sqlite_file(tracking_uri: str) -> Path | None:
    """Returns the file of an SQLite store, None for any other store and for one in memory."""
    if scheme_of(tracking_uri).partition("+")[0] != "sqlite":
        return None
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        database = make_url(tracking_uri).database
    except (ArgumentError, ValueError):
        return None
    if not database or database == ":memory:" or database.startswith("file:"):
        return None
    return Path(database)


def artifact_root(home: Path | str, tracking_uri: str) -> Path | None:
    """Returns the folder for artifacts beside a database; None where MLflow has its own place."""
    return Path(home).absolute() / "mlartifacts" if _is_database(tracking_uri) else None


def ui_command(
    home: Path | str,
    port: int = 5000,
    *,
    host: str = "127.0.0.1",
    tracking_uri: str | None = None,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
) -> list[str]:
    """Returns the command line that serves MLflow's web pages on the store of these sweeps.

    Args:
        home: folder of all sweeps.
        port: to listen on.
        host: address to listen on.
        tracking_uri: the store, where it is not the one in ``home``; not a server. It is not
            part of the command, see :func:`ui_environment`.
        allowed_hosts: what a request may call the server; MLflow's own rule where empty.
        allowed_origins: addresses of pages that may write to it, likewise.
    """
    command = [sys.executable, "-m", "mlflow", "server"]
    root = artifact_root(home, resolve_tracking_uri(home, tracking_uri))
    if root is not None:
        command += ["--default-artifact-root", root.as_uri()]
    if allowed_hosts:
        command += ["--allowed-hosts", ",".join(allowed_hosts)]
    if allowed_origins:
        command += ["--cors-allowed-origins", ",".join(allowed_origins)]
    # One worker answers one person, and is up seconds sooner than MLflow's four.
    return [*command, "--host", host, "--port", str(port), "--workers", "1"]


def ui_environment(home: Path | str, *, tracking_uri: str | None = None) -> dict[str, str]:
    """Returns the variables that tell MLflow's server the store.

    Everybody on a machine can read a command line, and a database's URI has its password.

    Args:
        home: folder of all sweeps.
        tracking_uri: as in :func:`ui_command`.
    """
    return {"MLFLOW_BACKEND_STORE_URI": resolve_tracking_uri(home, tracking_uri)}


def experiment_url(base_url: str, experiment_id: str) -> str:
    """Returns the page of an experiment; without an identity that of all experiments."""
    path = f"experiments/{experiment_id}" if experiment_id else "experiments"
    return _page(base_url, path)


def run_url(base_url: str, *, experiment_id: str, run_id: str) -> str:
    """Returns the page of a run.

    Args:
        base_url: ``http://127.0.0.1:5000`` or a server's.
        experiment_id: of the run.
        run_id: its identity.
    """
    return _page(base_url, f"experiments/{experiment_id}/runs/{run_id}")


def runs_url(base_url: str, *, experiment_id: str, query: str) -> str:
    """Returns the page of an experiment's runs.

    Args:
        base_url: ``http://127.0.0.1:5000`` or a server's.
        experiment_id: of the runs.
        query: which of them and how, in MLflow's own form.
    """
    return _page(base_url, f"experiments/{experiment_id}/runs", query)


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
    return _page(base_url, "compare-runs", f"runs={runs}&experiments={experiments}")


def _page(base_url: str, path: str, query: str = "") -> str:
    """Returns an address of MLflow's web pages, which opens them for training.

    Without the word they open for GenAI, on an experiment's traces, whatever its tags say.
    """
    queries = "&".join(part for part in (query, "workflowType=machine_learning") if part)
    return f"{base_url.rstrip('/')}/#/{path}?{queries}"
