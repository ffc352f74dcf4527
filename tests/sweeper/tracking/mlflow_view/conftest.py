"""A sweep with an MLflow store of its own, whose tables are made once."""

from __future__ import annotations

import shutil

import pytest

from sweeper.tracking.mlflow_view import resolve_tracking_uri
from sweeper.tracking.mlflow_view.store import connect
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.tracking.mlflow_view.fakes import Clock


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A SQLite store with MLflow's tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def sweep(tmp_path, empty_store):
    home = tmp_path / "sweeps"
    document = {
        "name": "masa",
        "profile": "embedded",
        "objective": {"metric": "eval_loss", "mode": "min"},
        "methods": [{"name": "masa"}],
    }
    folder = SweepFolder.create(home, "masa-1", document=document, clock=Clock())
    shutil.copy(empty_store, home / "mlflow.db")
    return folder


@pytest.fixture
def client(sweep):
    return connect(resolve_tracking_uri(sweep.home))
