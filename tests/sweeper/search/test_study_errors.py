"""A study that has no room, may not be written, or is damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import optuna
import pytest

from sweeper.errors import DamagedFileError, UnwritableError
from sweeper.search import using_study
from sweeper.tracking.databases import StudyPlace
from tests.sweeper.search.two_methods import (
    in_use,
    study_in,
    suggestions_of,
    without_room,
    without_writing,
)


def fill(study: optuna.Study) -> None:
    for number in range(200):
        study.set_user_attr(f"note-{number}", "x" * 1000)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (without_room, "database or disk is full"),
        (without_writing, "attempt to write a readonly database"),
        (in_use, "database is locked"),
    ],
)
def test_a_study_that_cannot_be_written(tmp_path: Path, block, why: str) -> None:
    study, path = study_in(tmp_path), tmp_path / "optuna.db"
    with (
        block(study, path),
        pytest.raises(UnwritableError) as told,
        using_study(StudyPlace("s", path)),
    ):
        fill(study)
    assert str(told.value) == f"{path}: {why}"
    # What was there is there, and the study can be gone on with.
    suggestion = suggestions_of(study_in(tmp_path)).next()
    assert suggestion is not None
    assert suggestion.number == 0


def test_a_study_that_is_damaged(tmp_path: Path) -> None:
    study, path = study_in(tmp_path), tmp_path / "optuna.db"
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE study_user_attributes")
    with (
        pytest.raises(DamagedFileError, match="no such table") as told,
        using_study(StudyPlace("s", path)),
    ):
        study.set_user_attr("note", 1)
    assert told.value.path == path


def test_what_is_not_of_the_study_passes(tmp_path: Path) -> None:
    with pytest.raises(KeyError), using_study(StudyPlace("s", tmp_path)):
        raise KeyError("other")
