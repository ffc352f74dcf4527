"""A driver without Ray, as a program: what it draws it records at once, and MLflow is told.

The study is where the environment says, MLflow's store likewise.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sweeper.search import open_study
from sweeper.tracking.databases import note_place, place_of_study
from sweeper.tracking.mlflow_view import MlflowView
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.search.two_methods import OBJECTIVE, SEARCH, SPACE, suggestions_of

STEPS = 3
METHODS: list[dict[str, object]] = [
    {"name": "masa", "experts": {"int": [2, 6]}},
    {"name": "lora", "rank": {"choice": [4, 8]}},
]


def new_sweep(home: Path, name: str) -> SweepFolder:
    """Returns the folder of a sweep over the space of two methods."""
    document: dict[str, object] = {
        "name": "two",
        "profile": "embedded",
        "objective": {"metric": "eval_loss", "mode": "min"},
        "methods": METHODS,
        "train": {"learning_rate": {"loguniform": [1e-4, 1e-2]}},
        "data": {"kind": "embedded"},
    }
    return SweepFolder.create(home, name, document=document)


def drive(folder: SweepFolder, go: Path, *, trials: int) -> None:
    """Runs trials of a sweep, as soon as a file is there."""
    (folder.path / "ready").touch()
    while not go.exists():
        time.sleep(0.01)
    place = place_of_study(folder)
    study = open_study(place, objective=OBJECTIVE, space=SPACE, search=SEARCH)
    note_place(folder, place)
    suggestions = suggestions_of(study)
    view = MlflowView(folder, interval_s=0.2)
    view.start()
    for _ in range(trials):
        suggestion = suggestions.next()
        assert suggestion is not None
        trial = folder.add_trial(
            f"{suggestion.number:012x}",
            spec={
                "method": {"name": str(suggestion.point["method"])},
                "data": {"kind": "embedded"},
            },
            number=suggestion.number,
            method=str(suggestion.point["method"]),
            params={"learning_rate": float(str(suggestion.point["train.learning_rate"]))},
            steps_total=STEPS,
        )
        trial.begin()
        for step in range(1, STEPS + 1):
            trial.append(step, {"eval_loss": 5.0 / step})
            suggestions.report(suggestion.number, evaluation=step, value=5.0 / step)
        trial.complete()
        suggestions.end(suggestion.number, evaluation=STEPS, value=5.0 / STEPS, is_complete=True)
    # To make tables takes a minute on a machine that is busy.
    result = view.stop(timeout_s=250)
    assert result.is_complete, result.errors


if __name__ == "__main__":
    drive(SweepFolder(sys.argv[1]), Path(sys.argv[2]), trials=int(sys.argv[3]))
