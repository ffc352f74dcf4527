"""A trained trial held open: its rows, what its layers compute of them, and its gradients."""

from __future__ import annotations

from sweeper.analysis.inspection.model.activations import LayerInput, layer_inputs
from sweeper.analysis.inspection.model.gradients import (
    TaskBatches,
    mean_gradient,
    require_trained_form,
    trained_parameters,
)
from sweeper.analysis.inspection.model.opening import OpenTrial, key_of_a, open_trial
from sweeper.analysis.inspection.model.rows import Row, rows_by_task, rows_of

__all__ = [
    "LayerInput",
    "OpenTrial",
    "Row",
    "TaskBatches",
    "key_of_a",
    "layer_inputs",
    "mean_gradient",
    "open_trial",
    "require_trained_form",
    "rows_by_task",
    "rows_of",
    "trained_parameters",
]
