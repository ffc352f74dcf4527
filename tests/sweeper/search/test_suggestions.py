"""Which point comes next, and what Optuna is told of its trial; without Ray."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import TrialState

from sweeper.errors import BadInputError
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.space.distributions import Choice
from sweeper.experiment.space.space import Axis, MethodSpace, Space
from sweeper.search import Suggestions, open_study
from sweeper.search.study import REASON, TRIAL_ID, enqueue_failed, trials_left
from tests.sweeper.search.two_methods import (
    BASELINE,
    LORA,
    OBJECTIVE,
    SEARCH,
    identity_of,
    study_in,
    suggestions_of,
)


def test_the_enqueued_point_comes_first(tmp_path: Path) -> None:
    suggestions = suggestions_of(study_in(tmp_path))
    first, second = suggestions.next(), suggestions.next()
    assert (first.number, second.number) == (0, 1)
    assert first.point.items() >= BASELINE.items()


def test_what_was_left_running_comes_before_what_is_enqueued(tmp_path: Path) -> None:
    first = suggestions_of(study_in(tmp_path))
    left = [first.next() for _ in range(3)]
    for suggestion in left:
        first.identify(suggestion.number, identity_of(suggestion.point))
    first.fail(0)
    study = study_in(tmp_path)
    assert enqueue_failed(study) == [identity_of(left[0].point)]
    second = suggestions_of(study)
    again = [second.next() for _ in range(4)]
    assert again[:2] == left[1:]
    assert again[2].point == left[0].point
    assert again[3].point not in [suggestion.point for suggestion in again[:3]]


def test_the_study_knows_which_trial_came_of_a_suggestion(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    suggestions = suggestions_of(study)
    suggestions.identify(suggestions.next().number, "abc")
    assert study.get_trials()[0].user_attrs[TRIAL_ID] == "abc"


def test_a_trial_that_did_not_reach_its_end_is_pruned_with_its_values(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    suggestions = suggestions_of(study)
    number = suggestions.next().number
    suggestions.report(number, evaluation=1, value=3.0)
    suggestions.end(number, evaluation=2, value=2.5, is_complete=False)
    (trial,) = study.get_trials(states=[TrialState.PRUNED])
    assert trial.intermediate_values == {1: 3.0, 2: 2.5}


def test_a_whole_trial_is_complete_with_its_last_value(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    suggestions = suggestions_of(study)
    number = suggestions.next().number
    suggestions.end(number, evaluation=1, value=2.5, is_complete=True)
    (trial,) = study.get_trials(states=[TrialState.COMPLETE])
    assert trial.value == 2.5
    assert trial.intermediate_values == {1: 2.5}


def test_a_value_that_optuna_has_is_not_told_a_second_time(tmp_path: Path) -> None:
    first = suggestions_of(study_in(tmp_path))
    number = first.next().number
    first.report(number, evaluation=1, value=3.0)
    study = study_in(tmp_path)
    second = suggestions_of(study)
    assert second.next().number == number
    second.report(number, evaluation=1, value=4.0)
    second.end(number, evaluation=2, value=2.0, is_complete=True)
    (trial,) = study.get_trials(states=[TrialState.COMPLETE])
    assert trial.intermediate_values == {1: 3.0, 2: 2.0}


def bank(vectors: list[int], top_k: list[int]) -> Space:
    """A space of two fields that do not go together at each of their values."""
    axes = (
        Axis("vblora.vectors", ("method", "vectors"), Choice(choice=tuple(vectors))),
        Axis("vblora.top_k", ("method", "top_k"), Choice(choice=tuple(top_k))),
    )
    tree: Document = {
        **LORA.tree,
        "method": {"name": "vblora", "vector_length": 64},
        "train": {"steps": 8, "learning_rate": 1e-3},
    }
    return Space((MethodSpace("vblora", tree, axes),))


def test_a_point_that_is_no_trial_fails_with_its_reason_and_is_passed_over(tmp_path: Path) -> None:
    space = bank([8, 2], [2, 4])
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    study = open_study(url, name="s", objective=OBJECTIVE, space=space, search=SEARCH)
    suggestions = Suggestions(study, space=space, search=SEARCH)
    given = [suggestions.next() for _ in range(SEARCH.trials)]
    assert {"method": "vblora", "vblora.vectors": 2, "vblora.top_k": 4} not in [
        suggestion.point for suggestion in given
    ]
    failed = study.get_trials(states=[TrialState.FAIL])
    assert failed
    assert {str(sorted(trial.params.items())) for trial in failed} == {
        "[('vblora.top_k', 4), ('vblora.vectors', 2)]"
    }
    assert all("top_k is 4 but the bank has 2" in trial.user_attrs[REASON] for trial in failed)
    assert len(study.get_trials(states=[TrialState.RUNNING])) == SEARCH.trials
    # Another point took its place, and it is not tried again.
    assert trials_left(study, SEARCH) == SEARCH.trials
    assert enqueue_failed(study) == []


def test_a_point_that_is_no_trial_is_not_left_running_by_a_resume(tmp_path: Path) -> None:
    space = bank([8, 2], [2, 4])
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    study = open_study(url, name="s", objective=OBJECTIVE, space=space, search=SEARCH)
    study.enqueue_trial({"vblora.vectors": 2, "vblora.top_k": 4})
    study.ask()  # A driver died of it.
    suggestion = Suggestions(study, space=space, search=SEARCH).next()
    assert suggestion.number == 1
    assert [trial.state for trial in study.get_trials()] == [TrialState.FAIL, TrialState.RUNNING]


def test_a_space_without_a_trial_is_given_up() -> None:
    space = bank([2, 3], [4, 5])
    study = open_study(
        "sqlite:///:memory:", name="s", objective=OBJECTIVE, space=space, search=SEARCH
    )
    with pytest.raises(BadInputError, match=r"100 points in a row .* narrow the space"):
        Suggestions(study, space=space, search=SEARCH).next()
    assert study.get_trials(states=[TrialState.RUNNING]) == []
