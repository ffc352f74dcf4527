"""A study in a database that sweeps share: the same study, one driver, patience with its server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from sweeper.errors import BadInputError, StudyLostError
from sweeper.search import driven, open_study, read_study, require_study_storage, using_study
from sweeper.search import storage as storage_module
from sweeper.search.storage import storage_at
from sweeper.tracking.databases import StudyPlace
from tests.sweeper.postgresql import PASSWORD, Server, running_server
from tests.sweeper.search.two_methods import (
    OBJECTIVE,
    SEARCH,
    SPACE,
    study_in,
    suggestions_of,
)


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def place(server: Server) -> StudyPlace:
    return StudyPlace("night-1", uri=server.new_database())


def study_at(place: StudyPlace) -> optuna.Study:
    return open_study(place, objective=OBJECTIVE, space=SPACE, search=SEARCH)


def run(study: optuna.Study, trials: int) -> list[tuple[int, dict[str, Any]]]:
    """Draws and ends trials; returns their numbers and points."""
    suggestions, found = suggestions_of(study), []
    for _ in range(trials):
        suggestion = suggestions.next()
        assert suggestion is not None
        value = float(suggestion.number % 3)
        suggestions.end(suggestion.number, evaluation=1, value=value, is_complete=True)
        found.append((suggestion.number, dict(suggestion.point)))
    return found


def test_a_study_draws_what_it_draws_in_a_file(place: StudyPlace, tmp_path: Path) -> None:
    assert run(study_at(place), 6) == run(study_in(tmp_path), 6)
    # The next driver goes on with it.
    again = study_at(place)
    assert [number for number, _ in run(again, 2)] == [6, 7]


def test_studies_of_one_database_do_not_meet(server: Server, place: StudyPlace) -> None:
    other = StudyPlace("night-2", uri=place.uri)
    run(study_at(place), 3)
    assert read_study(other) is None
    run(study_at(other), 2)
    first, second = read_study(place), read_study(other)
    assert first is not None
    assert second is not None
    assert (len(first.get_trials()), len(second.get_trials())) == (3, 2)


def test_a_study_that_is_not_where_it_was_begun_is_not_begun_again(
    server: Server, place: StudyPlace
) -> None:
    study_at(place)
    old = str(place)
    moved = StudyPlace(place.name, uri=server.new_database(), noted=old)
    with pytest.raises(BadInputError, match=f"was begun at {old}, and is not at {moved}"):
        study_at(moved)
    # The server has got another address, the study is the same one.
    assert study_at(StudyPlace(place.name, uri=place.uri, noted="postgresql://old/db"))
    # A study that is lost where it was is made again, as a file is.
    assert study_at(StudyPlace("lost", uri=place.uri, noted=str(place)))


def test_a_database_without_room_for_tables_is_told_before_anything_starts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = server.new_database()
    name = uri.rpartition("/")[2]
    server.ask(name, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", uri)
    with pytest.raises(BadInputError, match=r"cannot be used \(ReadOnly.*read-only") as told:
        require_study_storage()
    assert PASSWORD not in str(told.value)
    assert "p%40ss" not in str(told.value)
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", server.new_database())
    require_study_storage()


def test_a_server_that_restarts_is_waited_for(server: Server, place: StudyPlace) -> None:
    study = study_at(place)
    before = run(study, 2)
    server.stop()
    after: list[tuple[int, dict[str, object]]] = []
    thread = threading.Thread(target=lambda: after.extend(run(study, 2)))
    thread.start()
    time.sleep(1.5)
    server.start()
    thread.join(60)
    assert [number for number, _ in before + after] == [0, 1, 2, 3]
    assert [trial.state for trial in study.get_trials()] == [TrialState.COMPLETE] * 4


def test_a_server_that_stays_away_ends_the_run_and_the_next_one_goes_on(
    server: Server, place: StudyPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_at(place)
    suggestions = suggestions_of(study)
    left = suggestions.next()
    assert left is not None
    monkeypatch.setattr(storage_module, "PATIENCE_S", 1.0)
    server.stop()
    begin_s = time.monotonic()
    with (
        pytest.raises(StudyLostError, match="cannot be used any more") as told,
        using_study(place, is_running=True),
    ):
        suggestions.end(left.number, evaluation=1, value=1.0, is_complete=True)
    assert time.monotonic() - begin_s < 20
    assert str(place) in str(told.value)
    assert PASSWORD not in str(told.value)
    with pytest.raises(BadInputError, match="it must answer before a sweep starts"):
        study_at(place)
    server.start()
    again = suggestions_of(study_at(place)).next()
    assert again == left


def test_a_study_has_one_driver(place: StudyPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "WAIT_S", 0.6)
    told: list[str] = []
    with driven(place, tell=told.append):
        assert told == []
        with (
            pytest.raises(BadInputError, match=r"night-1 at postgresql.* is driven by another"),
            driven(place, tell=told.append),
        ):
            pass
        with driven(StudyPlace("night-2", uri=place.uri), tell=told.append):
            pass
    assert len(told) == 1
    assert "waiting up to 0.6 s" in told[0]
    with driven(place, tell=told.append), driven(StudyPlace("x", Path("x.db")), tell=told.append):
        pass


def test_several_open_an_empty_database_at_once(server: Server, place: StudyPlace) -> None:
    names = [f"night-{number}" for number in range(4)]
    failed: list[Exception] = []

    def begin(name: str) -> None:
        try:
            study_at(StudyPlace(name, uri=place.uri))
        except Exception as error:  # noqa: BLE001 - a thread's failure is the test's
            failed.append(error)

    threads = [threading.Thread(target=begin, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(optuna.get_all_study_names(storage_at(place))) == names
