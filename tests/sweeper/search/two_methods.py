"""A space of two methods that have different parameters, and a study on it."""

from __future__ import annotations

from pathlib import Path

import optuna

from sweeper.experiment.documents.tree import Document
from sweeper.experiment.space.distributions import Choice, IntRange, LogUniform
from sweeper.experiment.space.space import Axis, MethodSpace, Point, Space
from sweeper.experiment.sweep import ObjectiveSpec, SearchSpec
from sweeper.search import Suggestions, open_study

OBJECTIVE = ObjectiveSpec(metric="eval_loss", mode="min")
SEARCH = SearchSpec(trials=8, startup_trials=3, seed=5)

RATE = Axis("train.learning_rate", ("train", "learning_rate"), LogUniform(loguniform=(1e-4, 1e-2)))
_REST: Document = {
    "train": {"steps": 8},
    "model": {"kind": "architecture", "name": "smollm2-135m"},
    "data": {"kind": "embedded"},
}
MASA = MethodSpace(
    "masa",
    {"method": {"name": "masa"}, **_REST},
    (Axis("masa.experts", ("method", "experts"), IntRange(int=(2, 6))), RATE),
)
LORA = MethodSpace(
    "lora",
    {"method": {"name": "lora"}, **_REST},
    (Axis("lora.rank", ("method", "rank"), Choice(choice=(4, 8))), RATE),
)
BASELINE: Point = {"method": "masa", "masa.experts": 5}
SPACE = Space((MASA, LORA), (BASELINE,))


def study_in(folder: Path) -> optuna.Study:
    """The study in a folder, opened as a driver opens it."""
    url = f"sqlite:///{folder / 'optuna.db'}"
    return open_study(url, name="s", objective=OBJECTIVE, space=SPACE, search=SEARCH)


def suggestions_of(study: optuna.Study) -> Suggestions:
    """The points of a study, from where it is."""
    return Suggestions(study, space=SPACE, search=SEARCH, identify=identity_of)


def identity_of(point: Point) -> str:
    """What a driver would call the trial of a point."""
    return "-".join(str(value) for value in point.values())
