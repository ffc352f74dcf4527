"""A sweep's result as one plain JSON document."""

from __future__ import annotations

from typing import Any

from sweeper.analysis.conclusions import SweepConclusions, conclusions_document
from sweeper.analysis.confirmation import confirmation_of
from sweeper.analysis.ranking import Ranking
from sweeper.estimates import to_metrics
from sweeper.report.summary import finite_metrics
from sweeper.tracking.final_result import FinalResult, read_final
from sweeper.tracking.owner.clones import clones_of
from sweeper.tracking.owner.outside import space_revisions
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

__all__ = ["sweep_result"]


def sweep_result(
    folder: SweepFolder, ranking: Ranking, conclusions: SweepConclusions, *, tracking_uri: str
) -> dict[str, Any]:
    """Returns a sweep's result as one plain JSON document.

    Args:
        folder: the sweep.
        ranking: of its trials.
        conclusions: what the sweep allows to be said.
        tracking_uri: MLflow's store, without a password.
    """
    best, confirmed = ranking.best, folder.about().confirms
    return {
        "sweep": folder.name,
        "status": folder.status,
        "note": folder.note or None,
        "tracking_uri": tracking_uri,
        "objective": ranking.objective.model_dump(mode="json"),
        "base": finite_metrics(ranking.base_scores) or None,
        "evaluation": folder.protocol() or None,
        "base_final": _final_document(ranking.base_final),
        "best": _trial_document(folder, ranking, best) if best is not None else None,
        "conclusions": conclusions_document(conclusions),
        "confirmation": _confirmation(folder, ranking),
        "revisions": [x.model_dump(mode="json") for x in space_revisions(folder)],
        "confirms": None if confirmed is None else confirmed.name,
        "damaged": [{"file": str(one.path), "why": one.why} for one in ranking.damage],
        "clones": [
            {
                **_trial_document(folder, ranking, x.record, place),
                "final": _final_document(read_final(place.path)),
                "cloned_from": x.parent.model_dump(mode="json"),
            }
            for place, x in clones_of(folder)
        ],
        "trials": [_trial_document(folder, ranking, trial) for trial in ranking.trials],
    }


def _confirmation(folder: SweepFolder, ranking: Ranking) -> dict[str, Any] | None:
    found = confirmation_of(folder, ranking)
    if found is None:
        return None
    name = None if found.folder is None else found.folder.name
    return {"sweep": name, "status": found.status, "is_left": found.is_left}


def _trial_document(
    folder: SweepFolder, ranking: Ranking, trial: TrialRecord, place: TrialFolder | None = None
) -> dict[str, Any]:
    own = place or folder.trial(trial.id)
    adapter, source = own.adapter, own.taken_from()
    error = trial.error
    return {
        "id": trial.id,
        "number": trial.number,
        "origin": trial.origin,
        "taken_from": None if source is None else source.sweep,
        "method": trial.method,
        "params": trial.params,
        "status": trial.status,
        "ended_by": trial.ended_by or None,
        "is_outside": trial.id in ranking.outside,
        "steps": trial.steps,
        "metrics": finite_metrics(trial.metrics),
        "final": _final_document(ranking.finals.get(trial.id)),
        "final_gains": finite_metrics(to_metrics(ranking.gains.get(trial.id, {}))) or None,
        "trainable": trial.trainable,
        "percent": trial.percent,
        "wall_time_s": trial.wall_time_s,
        "overhead_s": trial.overhead_s,
        "attempts": trial.attempts,
        "error": f"{error.type}: {error.message}" if error is not None else None,
        "adapter": str(adapter) if adapter.is_dir() else None,
    }


def _final_document(result: FinalResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {**result.model_dump(mode="json"), "metrics": finite_metrics(result.metrics)}
