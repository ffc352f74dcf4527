"""A study stays where it was begun, and no file holds the password of its database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeper.errors import BadInputError, DamagedFileError
from sweeper.tracking.databases import STUDY_NOTE, forget_place, note_place, place_of_study
from sweeper.tracking.sweep_folder import SweepFolder

URI = "postgresql://me:s%40cret@db:5433/studies?sslpassword=hidden"
PUBLIC = "postgresql://db:5433/studies"


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    return SweepFolder.create(tmp_path, "night", document={"name": "masa"})


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", f" {URI} ")


def test_without_the_variable_it_is_a_file_of_the_sweep(sweep: SweepFolder) -> None:
    place = place_of_study(sweep)
    assert (place.path, place.name) == (sweep.path / "optuna.db", "night")
    assert not place.is_there
    note_place(sweep, place)
    assert not (sweep.path / STUDY_NOTE).exists()


def test_a_new_sweep_has_it_where_the_variable_says(sweep: SweepFolder, shared: None) -> None:
    place = place_of_study(sweep)
    assert (place.path, place.address, str(place)) == (None, URI, PUBLIC)
    assert place.name == f"night-{sweep.about().sweep_id}"
    assert place.is_there


def test_sweeps_of_one_name_do_not_share_a_study(
    sweep: SweepFolder, tmp_path: Path, shared: None
) -> None:
    other = SweepFolder.create(tmp_path / "other", "night", document={"name": "masa"})
    assert place_of_study(sweep).name != place_of_study(other).name


def test_a_sweep_that_has_a_file_keeps_it(sweep: SweepFolder, shared: None) -> None:
    (sweep.path / "optuna.db").touch()
    assert place_of_study(sweep).path == sweep.path / "optuna.db"


def test_what_is_noted_has_no_secret_and_brings_the_sweep_back(
    sweep: SweepFolder, shared: None
) -> None:
    place = place_of_study(sweep)
    note_place(sweep, place)
    assert json.loads((sweep.path / STUDY_NOTE).read_text()) == {
        "storage": PUBLIC,
        "name": place.name,
    }
    for text in (repr(place), str(place), *(x.read_text() for x in sweep.path.glob("*.json"))):
        assert not {word for word in ("s%40cret", "s@cret", "hidden", "me:") if word in text}
    # Its folder gets another name, as by hand.
    renamed = SweepFolder(sweep.path.rename(sweep.path.with_name("evening")))
    again = place_of_study(renamed)
    assert (again.name, again.was_elsewhere) == (place.name, False)


def test_a_sweep_whose_database_the_environment_does_not_name_is_told(
    sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", URI)
    note_place(sweep, place_of_study(sweep))
    monkeypatch.delenv("SWEEPER_OPTUNA_STORAGE")
    message = f"'night' has its study at {PUBLIC}, .* set SWEEPER_OPTUNA_STORAGE and run"
    with pytest.raises(BadInputError, match=message):
        place_of_study(sweep)
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", "postgresql://db2/studies")
    assert place_of_study(sweep).was_elsewhere


@pytest.mark.parametrize("uri", ["mysql://me:s%40cret@db/x", "sqlite:////tmp/x.db", "secret"])
def test_another_kind_of_database_is_refused(
    sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", uri)
    with pytest.raises(BadInputError, match="is on PostgreSQL: postgresql://") as told:
        place_of_study(sweep)
    assert "s%40cret" not in str(told.value)


def test_a_damaged_note_is_told(sweep: SweepFolder, shared: None) -> None:
    (sweep.path / STUDY_NOTE).write_text('{"storage": 3}')
    with pytest.raises(DamagedFileError, match=r"study\.json is damaged"):
        place_of_study(sweep)


def test_a_folder_that_has_become_another_sweep_begins_its_own(
    sweep: SweepFolder, shared: None
) -> None:
    first = place_of_study(sweep)
    note_place(sweep, first)
    aside = sweep.path.rename(sweep.path.with_name("night.set-aside-1"))
    forget_place(aside)
    forget_place(aside)
    assert place_of_study(SweepFolder(aside)).name != first.name
