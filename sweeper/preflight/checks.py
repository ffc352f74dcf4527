"""All checks before a sweep starts."""

from __future__ import annotations

import logging

from sweeper.data import DataSpec, EmbeddedDataSpec, TasksDataSpec
from sweeper.data.hygiene import require_clean
from sweeper.experiment.sweep import Sweep
from sweeper.preflight.metrics import require_metrics
from sweeper.preflight.model import inspect_model_of, require_fitting_data, require_memory
from sweeper.preflight.objective import require_objective
from sweeper.preflight.room import require_room
from sweeper.preflight.task_ids import require_tasks

__all__ = ["require_runnable"]

logger = logging.getLogger(__name__)


def require_runnable(sweep: Sweep, *, address: str | None = None) -> str:
    """Returns the fingerprint of the data, and of a model at a path, for trials' identities.

    Args:
        sweep: checked in itself.
        address: the cluster it shall run on; None for this machine, whose room is checked too.

    Raises:
        BadInputError: model or data cannot be used, or not together, the training rows contain
            evaluation rows, no evaluation reports the objective, or there is no room for a replica.
    """
    spec = sweep.spec
    require_room(spec.resources, address)
    spec.model.require_available()
    spec.data.require_available()
    require_tasks(sweep.space, spec.data)
    require_metrics(spec.data, spec.evaluation, has_final=spec.final.trials != 0)
    if isinstance(spec.data, TasksDataSpec):
        spec.data.pin()
    require_objective(sweep)
    require_memory(sweep, address)
    left = inspect_model_of(sweep)
    fingerprint = _fingerprint(spec.data)
    require_clean(spec.data, spec.hygiene, fingerprint=fingerprint)
    require_fitting_data(sweep, left)
    return spec.fingerprint(fingerprint)


def _fingerprint(data: DataSpec) -> str:
    """Returns the data's fingerprint; says once what of the rows may not be expected."""
    if isinstance(data, EmbeddedDataSpec | TasksDataSpec):
        return data.fingerprint()
    fingerprint, warnings = data.examined()
    for warning in warnings:
        logger.warning("%s", warning)
    return fingerprint
