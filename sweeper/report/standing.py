"""How sweeps stand: one in a document, and all of a folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sweeper._files import FileLock
from sweeper._text import varying
from sweeper.analysis.ranking import Ranking, ranking_of
from sweeper.errors import DamagedFileError
from sweeper.experiment.documents.tree import Document, get_path
from sweeper.experiment.sections import read_design
from sweeper.experiment.sweep import SearchSpec
from sweeper.tracking.mirror import driver_elsewhere
from sweeper.tracking.owner import DriverLife, driver_of
from sweeper.tracking.places import LOCK_FILE
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in
from sweeper_adapters.methods import without_running

__all__ = ["all_standings", "standing_of", "trials_total"]


def trials_total(document: Document) -> int | None:
    """Returns how many trials a sweep is to have; None where this version cannot read it.

    Args:
        document: the resolved sweep.
    """
    if "design" in document:
        with without_running():
            plan, _ = read_design(document)
        return None if plan is None else len(plan.configurations) * len(plan.seeds)
    asked = get_path(document, ("search", "trials"))
    if isinstance(asked, int):
        return asked
    listed = document.get("trials")
    return len(listed) if isinstance(listed, list) else int(SearchSpec().trials)


def standing_of(folder: SweepFolder, ranking: Ranking) -> dict[str, Any]:
    """Returns how a sweep stands as plain JSON.

    Args:
        folder: the sweep.
        ranking: of its trials.
    """
    status: str = folder.status
    life = driver_of(folder.path)
    if status == "running" and not life.is_alive:
        # Its driver was killed, and could not say so.
        status = "interrupted"
    counts = ranking.counts()
    begun = [_running(trial) for trial in ranking.trials if trial.status == "running"]
    total = trials_total(folder.document)
    done = sum(trial.is_final for trial in ranking.trials) - counts.get("superseded", 0)
    return {
        "sweep": folder.name,
        "folder": str(folder.path),
        "status": status,
        "since": folder.status_since.isoformat(),
        "note": folder.note or None,
        "driver": _driver(folder.path, life),
        "created_at": folder.created_at.isoformat(),
        "objective": ranking.objective.model_dump(mode="json"),
        "trials_done": done,
        "trials_total": None if total is None else max(total, done),
        "trials": counts,
        "ended_by_patience": sum(trial.ended_by == "patience" for trial in ranking.trials),
        "races": _races(ranking),
        "best": None if ranking.best is None else _best(ranking, ranking.best),
        "base": None if ranking.base is None else ranking.base.value,
        "running": begun if life.is_alive else [],
        "interrupted": [] if life.is_alive else begun,
        "wall_time_s": sum(trial.wall_time_s for trial in ranking.trials),
    }


def _driver(sweep: Path, life: DriverLife) -> str | None:
    """Returns the process that runs a sweep, as words; None where none does."""
    if not life.is_alive:
        return None
    if elsewhere := driver_elsewhere(sweep):
        return elsewhere
    word = life.word
    if word is None or word.ended_at is not None:
        return FileLock(sweep / LOCK_FILE).owner()
    return f"process {word.pid} on {word.host}"


def _races(ranking: Ranking) -> dict[str, int] | None:
    """Returns how many trials lost a race, and of how many rows they were asked how many there."""
    lost = [trial.metrics for trial in ranking.trials if "racing_rows" in trial.metrics]
    if not lost:
        return None
    return {
        "lost": len(lost),
        "rows": round(sum(metrics["racing_rows"] for metrics in lost)),
        "rows_in_all": round(sum(metrics["racing_rows_in_all"] for metrics in lost)),
    }


def _best(ranking: Ranking, best: TrialRecord) -> dict[str, Any]:
    score = ranking.score(best)
    assert score is not None
    names = varying(trial.params for trial in ranking.trials)
    return {
        "number": best.number,
        "id": best.id,
        "method": best.method,
        "value": score.value,
        "standard_error": score.standard_error,
        "params": {name: best.params[name] for name in names if name in best.params},
    }


def _running(trial: TrialRecord) -> dict[str, Any]:
    loss = trial.metrics.get("train_loss", math.nan)
    return {
        "number": trial.number,
        "id": trial.id,
        "method": trial.method,
        "steps": trial.steps,
        "steps_total": trial.steps_total or None,
        "train_loss": loss if math.isfinite(loss) else None,
        "attempts": trial.attempts,
    }


def all_standings(home: Path) -> list[dict[str, Any]]:
    """Returns how all sweeps of a folder stand, the newest first; damaged ones with the reason."""
    return [_standing(SweepFolder(path)) for path in reversed(sweeps_in(home))]


def _standing(folder: SweepFolder) -> dict[str, Any]:
    try:
        return standing_of(folder, ranking_of(folder))
    except DamagedFileError as error:
        about = {"sweep": folder.name, "folder": str(folder.path), "note": str(error)}
        return {**about, "status": "damaged"}
