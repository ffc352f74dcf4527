"""Which point comes next, and what Optuna is told of its trial; without Ray."""

from __future__ import annotations

from pathlib import Path

from optuna.trial import TrialState

from sweeper.search.study import TRIAL_ID, enqueue_failed
from tests.sweeper.search.two_methods import BASELINE, identity_of, study_in, suggestions_of


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
