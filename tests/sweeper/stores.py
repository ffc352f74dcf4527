"""An MLflow store without runs: its tables, which take seconds to make, are made once."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path

from sweeper.tracking.mlflow_view.store import connect

__all__ = ["empty_store"]


@cache
def empty_store() -> Path:
    """Returns the file of an SQLite store, to be copied to where ``mlflow.db`` is wanted."""
    folder = tempfile.TemporaryDirectory(prefix="sweeper-store-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "mlflow.db"
    connect(f"sqlite:///{path}").search_experiments()
    return path
