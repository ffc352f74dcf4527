"""One trial as a plain JSON document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweeper.analysis.lookup import FoundTrial
from sweeper.errors import DamagedFileError
from sweeper.report.summary import finite_metrics
from sweeper.tracking.final_result import read_final
from sweeper.tracking.mlflow_view import run_ids

__all__ = ["trial_document"]


def trial_document(found: FoundTrial) -> dict[str, Any]:
    """Returns all that is on disk of a trial.

    Args:
        found: the trial.
    """
    trial, record = found.trial, found.record
    final, source, error = read_final(trial.path), trial.taken_from(), record.error
    return {
        "sweep": found.sweep.name,
        "id": record.id,
        "number": record.number,
        "method": record.method,
        "origin": record.origin,
        "taken_from": None if source is None else source.sweep,
        "status": record.status,
        "superseded_by": record.superseded_by or None,
        "ended_by": record.ended_by or None,
        "attempts": record.attempts,
        "hosts": list(record.hosts),
        "steps": record.steps,
        "steps_total": record.steps_total or None,
        "started_at": None if record.started_at is None else record.started_at.isoformat(),
        "ended_at": None if record.ended_at is None else record.ended_at.isoformat(),
        "wall_time_s": record.wall_time_s,
        "train_time_s": record.train_time_s,
        "overhead_s": record.overhead_s,
        "trainable": record.trainable or None,
        "total": record.total or None,
        "objective": found.sweep.objective().model_dump(mode="json"),
        "params": record.params,
        "metrics": finite_metrics(record.metrics),
        "final": None
        if final is None
        else {**final.model_dump(mode="json"), "metrics": finite_metrics(final.metrics)},
        "error": None if error is None else error.model_dump(mode="json"),
        "spec": _spec(found),
        "folder": str(trial.path),
        "adapter": _there(trial.adapter),
        "checkpoint": _there(trial.checkpoint),
        "mlflow_runs": sorted(run_ids(trial.path)),
    }


def _spec(found: FoundTrial) -> dict[str, Any] | None:
    try:
        return found.trial.spec()
    except DamagedFileError:
        # What the record has is shown all the same.
        return None


def _there(folder: Path) -> str | None:
    return str(folder) if folder.is_dir() else None
