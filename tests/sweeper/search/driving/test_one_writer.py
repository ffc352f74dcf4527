"""A study in memory beside its database: what is read is what another process would read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, event

from sweeper.search import past_values
from tests.sweeper.search.two_methods import study_in, suggestions_of


def on_disk(path: Path) -> list[FrozenTrial]:
    """The trials as Optuna reads them."""
    storage = f"sqlite:///{path / 'optuna.db'}"
    return optuna.load_study(study_name=None, storage=storage).get_trials()


def test_memory_and_database_say_the_same_after_each_kind_of_write(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    suggestions = suggestions_of(study)
    ends = [
        lambda number: suggestions.end(number, evaluation=2, value=1.0, is_complete=True),
        lambda number: suggestions.end(number, evaluation=2, value=2.0, is_complete=False),
        suggestions.fail,
        suggestions.drop,
    ]
    for end in ends:
        suggestion = suggestions.next()
        assert suggestion is not None
        suggestions.report(suggestion.number, evaluation=1, value=float("inf"))
        assert study.get_trials() == on_disk(tmp_path)
        end(suggestion.number)
        assert study.get_trials() == on_disk(tmp_path)
    study.set_user_attr("exhausted", True)
    assert study.user_attrs == {"exhausted": True}
    ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.PRUNED)
    assert tuple(trial.state for trial in study.get_trials()[:4]) == ended


def test_a_study_that_is_taken_up_again_is_read_whole(tmp_path: Path) -> None:
    first = study_in(tmp_path)
    suggestions = suggestions_of(first)
    for value in (3.0, float("-inf")):
        suggestion = suggestions.next()
        assert suggestion is not None
        suggestions.end(suggestion.number, evaluation=1, value=value, is_complete=True)
    suggestions.next()
    assert study_in(tmp_path).get_trials() == first.get_trials() == on_disk(tmp_path)


def test_a_trial_that_somebody_holds_does_not_change_under_him(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    suggestions = suggestions_of(study)
    suggestion = suggestions.next()
    assert suggestion is not None
    held = study.get_trials(deepcopy=False)[suggestion.number]
    suggestions.report(suggestion.number, evaluation=1, value=1.0)
    assert held.intermediate_values == {}
    assert study.get_trials(deepcopy=False)[suggestion.number].intermediate_values == {1: 1.0}


def test_a_look_at_the_trials_asks_the_database_nothing(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    suggestions_of(study).next()
    asked: list[str] = []
    storage: Any = study._storage
    event.listen(
        storage._backend.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: asked.append(statement),
    )
    for _ in range(3):
        assert len(study.get_trials(deepcopy=False)) == 1
        assert study.get_trials(states=[TrialState.WAITING]) == []
        assert study.user_attrs == {}
    assert asked == []


@contextmanager
def asking() -> Iterator[list[str]]:
    """The statements that any database is asked from now on."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_to_take_up_a_long_study_asks_no_more_than_a_short_one(tmp_path: Path) -> None:
    numbers, trials = [], 0
    for more in (2, 10):
        suggestions = suggestions_of(study_in(tmp_path))
        for _ in range(more):
            suggestion = suggestions.next()
            assert suggestion is not None
            suggestions.end(suggestion.number, evaluation=1, value=1.0, is_complete=True)
        with asking() as statements:
            study = study_in(tmp_path)
            suggestions_of(study)
            trials = len(past_values(study))
        numbers.append(len(statements))
    assert trials == 12
    assert numbers[0] == numbers[1] > 0
