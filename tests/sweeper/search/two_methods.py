"""A space of two methods that have different parameters, and a study on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy import event

from sweeper.experiment.documents.tree import Document
from sweeper.experiment.space.distributions import Choice, IntRange, LogUniform
from sweeper.experiment.space.space import Axis, MethodSpace, Point, Space
from sweeper.experiment.sweep import ObjectiveSpec, SearchSpec
from sweeper.search import Suggestions, open_study
from sweeper.tracking.databases import StudyPlace

OBJECTIVE = ObjectiveSpec(metric="eval_loss", mode="min")
SEARCH = SearchSpec(trials=8, startup_trials=3, seed=5, stop="asha")

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
    place = StudyPlace("s", folder / "optuna.db")
    return open_study(place, objective=OBJECTIVE, space=SPACE, search=SEARCH)


def suggestions_of(study: optuna.Study) -> Suggestions:
    """The points of a study, from where it is."""
    return Suggestions(study, space=SPACE, search=SEARCH, identify=identity_of)


def identity_of(point: Point) -> str:
    """What a driver would call the trial of a point."""
    return "-".join(str(value) for value in point.values())


@contextmanager
def without_room(study: optuna.Study, path: Path) -> Iterator[None]:
    """A study whose file may have no further page, as on a full disk."""
    del path
    with _told_when_opened(study, "PRAGMA max_page_count = 1"):
        yield


@contextmanager
def without_writing(study: optuna.Study, path: Path) -> Iterator[None]:
    """A study whose file may only be read."""
    del path
    with _told_when_opened(study, "PRAGMA query_only = ON"):
        yield


@contextmanager
def in_use(study: optuna.Study, path: Path) -> Iterator[None]:
    """A study whose file another process writes to, and does not let go."""
    with (
        _told_when_opened(study, "PRAGMA busy_timeout = 1"),
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def _told_when_opened(study: optuna.Study, pragma: str) -> Iterator[None]:
    storage: Any = study._storage
    engine = storage._backend.engine

    def tell(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(pragma)

    # Connections that are open already are opened again.
    engine.dispose()
    event.listen(engine, "connect", tell)
    try:
        yield
    finally:
        event.remove(engine, "connect", tell)
        engine.dispose()
