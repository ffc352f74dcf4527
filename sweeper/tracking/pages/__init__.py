"""Web pages on a sweep, served on this machine until they are interrupted: MLflow's, Optuna's."""

from __future__ import annotations

from sweeper.tracking.pages.hosts import Place
from sweeper.tracking.pages.mlflow_pages import serve_ui
from sweeper.tracking.pages.optuna_pages import serve_study

__all__ = ["Place", "serve_study", "serve_ui"]
