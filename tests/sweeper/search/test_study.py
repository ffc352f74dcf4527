"""What a study draws, what survives the driver, and how many trials are left; without Ray."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import optuna
from optuna.trial import TrialState

from sweeper.experiment.space.distributions import Grid
from sweeper.experiment.space.space import Axis, Point, Space
from sweeper.search.driving.attributes import TRIAL_ID, is_retried
from sweeper.search.driving.drawing import draw
from sweeper.search.study import (
    best_first,
    ended_trials,
    enqueue_failed,
    enqueue_fixed,
    open_study,
    past_values,
    states_by_id,
    trials_left,
    values_left_behind,
)
from sweeper.tracking.databases import StudyPlace
from tests.sweeper.search.two_methods import BASELINE, LORA, OBJECTIVE, SEARCH, SPACE, study_in


def rate_of(point: Point) -> float:
    rate = point["train.learning_rate"]
    assert isinstance(rate, float)
    return rate


def test_a_method_brings_its_own_parameters_only(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    for _ in range(SEARCH.trials):
        _, point = draw(study, SPACE, SEARCH)
        own = {"masa": "masa.experts", "lora": "lora.rank"}
        assert set(point) == {"method", own[str(point["method"])], "train.learning_rate"}


def test_baselines_come_first_and_what_they_leave_out_is_drawn(tmp_path: Path) -> None:
    _, point = draw(study_in(tmp_path), SPACE, SEARCH)
    assert point.items() >= BASELINE.items()
    assert 1e-4 <= rate_of(point) <= 1e-2


def test_opening_a_study_again_enqueues_nothing_twice(tmp_path: Path) -> None:
    study_in(tmp_path)
    assert len(study_in(tmp_path).get_trials()) == 1


def test_an_interrupted_study_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    def run(folder: Path, *, stop_after: int) -> list[Point]:
        folder.mkdir()
        points = []
        study = study_in(folder)
        for number in range(SEARCH.trials):
            if number == stop_after:
                study = study_in(folder)
            trial, point = draw(study, SPACE, SEARCH)
            study.tell(trial, rate_of(point))
            points.append(point)
        return points

    whole = run(tmp_path / "a", stop_after=99)
    interrupted = run(tmp_path / "b", stop_after=5)
    assert whole == interrupted
    assert len({point["train.learning_rate"] for point in whole}) == SEARCH.trials


def test_what_ended_is_not_left_and_what_is_retried_or_running_is(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    assert trials_left(study, SEARCH) == SEARCH.trials
    trials = [draw(study, SPACE, SEARCH)[0] for _ in range(4)]
    for number, trial in enumerate(trials):
        trial.set_user_attr(TRIAL_ID, f"id-{number}")
    study.tell(trials[0], 1.0)
    study.tell(trials[1], state=TrialState.PRUNED)
    study.tell(trials[2], state=TrialState.FAIL)
    assert trials_left(study, SEARCH) == SEARCH.trials - 3
    assert enqueue_failed(study) == ["id-2"]
    assert is_retried(study.get_trials()[2], study.user_attrs)
    assert trials_left(study, SEARCH) == SEARCH.trials - 2
    assert [trial.number for trial in ended_trials(study)] == [0, 1]


def test_a_study_with_more_trials_than_are_wanted_has_none_left(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    for _ in range(2):
        study.tell(draw(study, SPACE, SEARCH)[0], 1.0)
    assert trials_left(study, SEARCH.model_copy(update={"trials": 1})) == 0


def test_past_values_are_those_of_the_trials_that_ended_in_their_order(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    pruned, running, whole = (draw(study, SPACE, SEARCH)[0] for _ in range(3))
    for trial, values in ((pruned, {1: 5.0}), (running, {1: 9.0}), (whole, {2: 0.9, 1: 1.0})):
        for evaluation, value in values.items():
            trial.report(value, evaluation)
    study.tell(pruned, state=TrialState.PRUNED)
    study.tell(whole, 0.9)
    assert past_values(study) == [[5.0], [1.0, 0.9]]
    # Without an identity it was never begun.
    assert values_left_behind(study) == {}
    running.set_user_attr(TRIAL_ID, "a")
    assert values_left_behind(study) == {"a": [9.0]}


def test_of_a_trial_that_was_run_again_the_last_state_counts(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    for state in (TrialState.FAIL, TrialState.PRUNED):
        trial, _ = draw(study, SPACE, SEARCH)
        trial.set_user_attr(TRIAL_ID, "same")
        study.tell(trial, state=state)
    assert states_by_id(study) == {"same": TrialState.PRUNED}


def test_a_search_that_is_extended_has_all_of_its_grid_whatever_was_retried(
    tmp_path: Path,
) -> None:
    grid = Axis("lora.rank", ("method", "rank"), Grid(grid=(2, 4, 8, 16)))
    space = Space((dataclasses.replace(LORA, axes=(grid,)),))

    def opened(trials: int) -> optuna.Study:
        search = SEARCH.model_copy(update={"trials": trials})
        place = StudyPlace("s", tmp_path / "optuna.db")
        return open_study(place, objective=OBJECTIVE, space=space, search=search)

    study, points = opened(2), []
    for number in range(2):
        trial, point = draw(study, space, SEARCH)
        points.append(point)
        trial.set_user_attr(TRIAL_ID, f"id-{number}")
        if number:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, 1.0)
    enqueue_failed(study)
    enqueue_fixed(study, space, SEARCH.model_copy(update={"trials": 4}))
    study = opened(4)
    while study.get_trials(states=[TrialState.WAITING]):
        points.append(draw(study, space, SEARCH)[1])
    assert [point["lora.rank"] for point in points] == [2, 4, 4, 8, 16]


def test_the_sampler_goes_on_from_all_trials_before(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    for _ in range(SEARCH.trials):
        trial, point = draw(study, SPACE, SEARCH)
        trial.set_user_attr(TRIAL_ID, str(trial.number))
        study.tell(trial, rate_of(point))
    more = SEARCH.model_copy(update={"trials": SEARCH.trials + 3})
    again = study_in(tmp_path)
    assert trials_left(again, more) == 3
    trial, _ = draw(again, SPACE, more)
    assert trial.number == SEARCH.trials
    assert len(past_values(again)) == SEARCH.trials


def test_a_sweep_whose_folder_was_renamed_goes_on_with_its_study(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    numbers = [study.ask().number for _ in range(2)]
    place = StudyPlace("another name", tmp_path / "optuna.db")
    again = open_study(place, objective=OBJECTIVE, space=SPACE, search=SEARCH)
    assert [trial.number for trial in again.get_trials()][:2] == numbers
    assert optuna.get_all_study_names(place.address) == ["s"]


def test_the_best_come_first_and_what_has_no_value_not_at_all(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    for number, value in enumerate((3.0, 1.0, None, 2.0)):
        trial = draw(study, SPACE, SEARCH)[0]
        trial.set_user_attr(TRIAL_ID, f"id-{number}")
        if value is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, value)
    running = draw(study, SPACE, SEARCH)[0]
    running.set_user_attr(TRIAL_ID, "id-4")
    assert best_first(study) == ["id-1", "id-3", "id-0"]
    higher = optuna.create_study(direction="maximize")
    for name, value in (("low", 1.0), ("high", 2.0)):
        higher.add_trial(optuna.trial.create_trial(value=value, user_attrs={TRIAL_ID: name}))
    assert best_first(higher) == ["high", "low"]
