"""A sweep with an MLflow store of its own, whose tables are made once."""

from __future__ import annotations

import shutil

import pytest

from sweeper.tracking.mlflow_view import resolve_tracking_uri
from sweeper.tracking.mlflow_view.store import connect
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.stores import empty_store
from tests.sweeper.tracking.mlflow_view.fakes import Clock


@pytest.fixture(scope="session", name="empty_store")
def _empty_store():
    return empty_store()


@pytest.fixture
def sweep(tmp_path, empty_store):
    home = tmp_path / "sweeps"
    document = {
        "name": "masa",
        "profile": "embedded",
        "objective": {"metric": "eval_loss", "mode": "min"},
        "methods": [
            {"name": "masa", "rank": {"choice": [4, 8]}},
            {"name": "lora", "alpha": {"choice": [8, 16]}},
        ],
        "train": {"lr": {"loguniform": [1e-4, 1e-2]}},
        "data": {"kind": "embedded"},
    }
    folder = SweepFolder.create(home, "masa-1", document=document, clock=Clock())
    shutil.copy(empty_store, home / "mlflow.db")
    return folder


@pytest.fixture
def client(sweep):
    return connect(resolve_tracking_uri(sweep.home))
