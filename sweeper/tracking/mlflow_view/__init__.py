"""MLflow as a view of the records, which can be caught up or built again at any time."""

from __future__ import annotations

from sweeper.tracking.mlflow_view.links import (
    comparison_url,
    experiment_url,
    is_server,
    resolve_experiment,
    resolve_tracking_uri,
    ui_command,
    ui_environment,
)
from sweeper.tracking.mlflow_view.state import run_ids
from sweeper.tracking.mlflow_view.store import require_store
from sweeper.tracking.mlflow_view.view import MlflowView, SyncResult, sweep_url

__all__ = [
    "MlflowView",
    "SyncResult",
    "comparison_url",
    "experiment_url",
    "is_server",
    "require_store",
    "resolve_experiment",
    "resolve_tracking_uri",
    "run_ids",
    "sweep_url",
    "ui_command",
    "ui_environment",
]
