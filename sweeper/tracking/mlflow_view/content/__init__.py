"""What MLflow shows of a sweep and of a trial: names, parameters, tags, metrics, data, status."""

from __future__ import annotations

from sweeper.tracking.mlflow_view.content.inputs import CONTEXT, DataInput, data_inputs
from sweeper.tracking.mlflow_view.content.metrics import (
    final_metrics,
    shown_first,
    shown_metrics,
    summary_metrics,
    trial_metrics,
)
from sweeper.tracking.mlflow_view.content.table_view import table_query, table_view
from sweeper.tracking.mlflow_view.content.tags import (
    EXPERIMENT_TAGS,
    LEADERBOARD_TAGS,
    NOTE,
    RUN_STATUS,
    constant_tags,
    failure_text,
    flatten,
    said_note,
    said_tags,
    sweep_constants,
    sweep_tags,
    trial_name,
    trial_status,
    trial_tags,
)
from sweeper.tracking.mlflow_view.content.varied import Varied, trial_params, varied_in

__all__ = [
    "CONTEXT",
    "EXPERIMENT_TAGS",
    "LEADERBOARD_TAGS",
    "NOTE",
    "RUN_STATUS",
    "DataInput",
    "Varied",
    "constant_tags",
    "data_inputs",
    "failure_text",
    "final_metrics",
    "flatten",
    "said_note",
    "said_tags",
    "shown_first",
    "shown_metrics",
    "summary_metrics",
    "sweep_constants",
    "sweep_tags",
    "table_query",
    "table_view",
    "trial_metrics",
    "trial_name",
    "trial_params",
    "trial_status",
    "trial_tags",
    "varied_in",
]
