"""What the owner of a long sweep wants to know of it: standing, failures, outlook, cost, life."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sweeper._files import signature
from sweeper.analysis.ranking import Ranking
from sweeper.report.outlook import cost_of, forecast_of
from sweeper.report.standing import standing_of
from sweeper.tracking.owner import DriverLife, driver_of, pending
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TAKEN_FILE

__all__ = ["status_document"]


def status_document(folder: SweepFolder, ranking: Ranking) -> dict[str, Any]:
    """Returns how a sweep stands and what is to be expected of it, as plain JSON.

    Args:
        folder: the sweep.
        ranking: of its trials.
    """
    found = standing_of(folder, ranking)
    own = [x for x in ranking.trials if not (folder.trial(x.id).path / TAKEN_FILE).is_file()]
    life = driver_of(folder.path)
    word = life.word if life.is_alive else None
    resources = folder.document.get("resources")
    forecast = None
    if life.is_alive:
        taken, total = len(ranking.trials) - len(own), found["trials_total"]
        forecast = forecast_of(
            own,
            total=None if total is None else total - taken,
            replicas=0 if word is None else word.ready,
        )
    return {
        **found,
        "failures": [_failure(x) for x in ranking.trials if x.status == "failed"],
        "forecast": None if forecast is None else forecast.document(),
        "cost": cost_of(own, resources if isinstance(resources, dict) else {}).document(),
        "replicas": None if word is None or not word.replicas else _replicas(life),
        "stage": None if word is None else word.stage or None,
        "last_sign_at": _last_sign(folder, ranking, life),
        "asked": [] if word is None else _asked(folder, word.id),
    }


def _failure(trial: TrialRecord) -> dict[str, Any]:
    error = trial.error
    return {
        "number": trial.number,
        "id": trial.id,
        "type": None if error is None else error.type,
        "message": None if error is None else error.message.partition("\n")[0],
    }


def _replicas(life: DriverLife) -> dict[str, int]:
    assert life.word is not None
    names = ("replicas", "ready", "restarting", "lost", "restarts")
    return {name: getattr(life.word, name) for name in names}


def _last_sign(folder: SweepFolder, ranking: Ranking, life: DriverLife) -> str:
    """Returns when the driver, or a trial in training, has last written anything."""
    running = [x for x in ranking.trials if x.status == "running"]
    marks = [signature(folder.trial(x.id).metrics_path)[2] for x in running]
    signs = [datetime.fromtimestamp(mark / 1e9, UTC) for mark in marks if mark]
    signs += [x.ended_at for x in ranking.trials if x.ended_at is not None]
    signs += [folder.status_since, *([life.word.said_at] if life.word is not None else [])]
    return max(signs).isoformat()


def _asked(folder: SweepFolder, driver: str) -> list[dict[str, Any]]:
    return [
        {
            "stop": request.trial or "sweep",
            "by": request.asked_by,
            "at": request.asked_at.isoformat(),
        }
        for request in pending(folder.path, driver=driver)
    ]
