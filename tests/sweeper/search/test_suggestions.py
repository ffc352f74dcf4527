"""Which point comes next, and what Optuna is told of its trial; without Ray."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.trial import TrialState

from sweeper.experiment.checks import require_trial
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.space.distributions import Choice, Grid
from sweeper.experiment.space.space import Axis, MethodSpace, Point, Space
from sweeper.search import Suggestion, Suggestions
from sweeper.search.driving.attributes import REASON, REPEATS, TRIAL_ID
from sweeper.search.driving.drawing import draw
from sweeper.search.study import (
    ended_trials,
    enqueue_failed,
    open_study,
    repeats_note,
    trials_in_all,
    trials_left,
)
from sweeper.search.suggestions import MANY_REPEATS
from sweeper.tracking.databases import StudyPlace
from tests.sweeper.search.two_methods import (
    BASELINE,
    LORA,
    MASA,
    OBJECTIVE,
    RATE,
    SEARCH,
    identity_of,
    study_in,
    suggestions_of,
)


def next_of(suggestions: Suggestions) -> Suggestion:
    suggestion = suggestions.next()
    assert suggestion is not None
    return suggestion


def test_the_enqueued_point_comes_first(tmp_path: Path) -> None:
    suggestions = suggestions_of(study_in(tmp_path))
    first, second = next_of(suggestions), next_of(suggestions)
    assert (first.number, second.number) == (0, 1)
    assert first.point.items() >= BASELINE.items()


def test_what_was_left_running_comes_before_what_is_enqueued(tmp_path: Path) -> None:
    first = suggestions_of(study_in(tmp_path))
    left = [next_of(first) for _ in range(3)]
    first.fail(0)
    study = study_in(tmp_path)
    assert enqueue_failed(study) == [left[0].trial_id]
    second = suggestions_of(study)
    again = [next_of(second) for _ in range(4)]
    assert again[:2] == left[1:]
    assert again[2].point == left[0].point
    assert again[3].point not in [suggestion.point for suggestion in again[:3]]


def test_the_study_knows_which_trial_came_of_a_suggestion(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    suggestion = next_of(suggestions_of(study))
    assert study.get_trials()[0].user_attrs[TRIAL_ID] == suggestion.trial_id
    assert suggestion.trial_id == identity_of(suggestion.point)


def test_a_trial_that_did_not_reach_its_end_is_pruned_with_its_values(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    suggestions = suggestions_of(study)
    number = next_of(suggestions).number
    suggestions.report(number, evaluation=1, value=3.0)
    suggestions.end(number, evaluation=2, value=2.5, is_complete=False)
    (trial,) = study.get_trials(states=[TrialState.PRUNED])
    assert trial.intermediate_values == {1: 3.0, 2: 2.5}


def test_a_whole_trial_is_complete_with_its_last_value(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    suggestions = suggestions_of(study)
    number = next_of(suggestions).number
    suggestions.end(number, evaluation=1, value=2.5, is_complete=True)
    (trial,) = study.get_trials(states=[TrialState.COMPLETE])
    assert trial.value == 2.5
    assert trial.intermediate_values == {1: 2.5}


def test_a_value_that_optuna_has_is_not_told_a_second_time(tmp_path: Path) -> None:
    first = suggestions_of(study_in(tmp_path))
    number = next_of(first).number
    first.report(number, evaluation=1, value=3.0)
    study = study_in(tmp_path)
    second = suggestions_of(study)
    assert next_of(second).number == number
    second.report(number, evaluation=1, value=4.0)
    second.end(number, evaluation=2, value=2.0, is_complete=True)
    (trial,) = study.get_trials(states=[TrialState.COMPLETE])
    assert trial.intermediate_values == {1: 3.0, 2: 2.0}


FINITE = Space((MethodSpace("lora", {}, (Axis("lora.rank", ("rank",), Choice(choice=(4, 8))),)),))
MANY_TRIALS = SEARCH.model_copy(update={"trials": 5, "startup_trials": 1})


def finite(folder: Path, space: Space = FINITE) -> tuple[optuna.Study, Suggestions]:
    place = StudyPlace("s", folder / "optuna.db")
    study = open_study(place, objective=OBJECTIVE, space=space, search=MANY_TRIALS)
    return study, Suggestions(study, space=space, search=MANY_TRIALS, identify=identity_of)


def tell_all(suggestions: Suggestions) -> list[str]:
    """Runs all that is suggested; returns the trials."""
    found = []
    while (suggestion := suggestions.next()) is not None:
        suggestions.end(suggestion.number, evaluation=1, value=1.0, is_complete=True)
        found.append(suggestion.trial_id)
    return found


def test_a_finite_space_ends_when_each_of_its_points_was_tried_once(tmp_path: Path) -> None:
    study, suggestions = finite(tmp_path)
    assert trials_left(study, MANY_TRIALS) == 5
    assert trials_in_all(study, MANY_TRIALS) == 5
    assert sorted(tell_all(suggestions)) == ["lora-4", "lora-8"]
    assert trials_left(study, MANY_TRIALS) == 0
    assert trials_in_all(study, MANY_TRIALS) == 2
    assert [trial.value for trial in ended_trials(study)] == [1.0, 1.0]
    assert "it has 2 distinct trials, fewer than the 5 asked for" in repeats_note(
        study, MANY_TRIALS
    )


def test_a_grid_smaller_than_the_trials_is_run_once(tmp_path: Path) -> None:
    grid = Axis("lora.rank", ("rank",), Grid(grid=(4, 8, 16)))
    study, suggestions = finite(tmp_path, Space((MethodSpace("lora", {}, (grid,)),)))
    assert tell_all(suggestions) == ["lora-4", "lora-8", "lora-16"]
    repeats = [trial for trial in study.get_trials() if REPEATS in trial.user_attrs]
    assert {trial.state for trial in repeats} == {TrialState.FAIL}
    assert [trial.user_attrs[REPEATS] for trial in repeats[:2]] == ["lora-4", "lora-8"]


def test_where_nothing_is_searched_there_is_one_trial(tmp_path: Path) -> None:
    _, suggestions = finite(tmp_path, Space((MethodSpace("lora", {}, ()),)))
    assert tell_all(suggestions) == ["lora"]


def test_trials_that_run_are_not_suggested_a_second_time(tmp_path: Path) -> None:
    _, suggestions = finite(tmp_path)
    found = [suggestions.next() for _ in range(3)]
    assert sorted(each.trial_id for each in found if each is not None) == ["lora-4", "lora-8"]
    assert found[2] is None


def test_a_space_too_large_to_list_is_exhausted_when_its_draws_repeat(tmp_path: Path) -> None:
    study, _ = finite(tmp_path)
    space = Space((MASA,))
    suggestions = Suggestions(study, space=space, search=MANY_TRIALS, identify=lambda _: "same")
    assert suggestions.next() is not None
    assert suggestions.next() is None
    assert len(study.get_trials()) == 1 + MANY_REPEATS


def test_a_retry_in_an_exhausted_space_is_run(tmp_path: Path) -> None:
    study, suggestions = finite(tmp_path)
    for _ in range(2):
        suggestion = next_of(suggestions)
        suggestions.fail(suggestion.number)
    assert suggestions.next() is None
    assert len(enqueue_failed(study)) == 2
    assert trials_left(study, MANY_TRIALS) == 2
    _, again = finite(tmp_path)
    assert sorted(tell_all(again)) == ["lora-4", "lora-8"]


def test_a_repeated_draw_is_told_and_does_not_count(tmp_path: Path) -> None:
    baselines: tuple[Point, ...] = ({"lora.rank": 4}, {"lora.rank": 4})
    space = Space(FINITE.methods, baselines)
    study, suggestions = finite(tmp_path, space)
    assert {next_of(suggestions).trial_id for _ in range(2)} == {"lora-4", "lora-8"}
    assert trials_left(study, MANY_TRIALS) == 5
    assert "repeated an earlier trial; no trial" in repeats_note(study, MANY_TRIALS)


def test_a_trial_left_behind_on_other_rows_names_what_it_supersedes(tmp_path: Path) -> None:
    left = next_of(finite(tmp_path)[1])
    study, _ = finite(tmp_path)
    others = Suggestions(
        study, space=FINITE, search=MANY_TRIALS, identify=lambda p: f"new-{identity_of(p)}"
    )
    again = next_of(others)
    assert (again.trial_id, again.supersedes) == (f"new-{left.trial_id}", left.trial_id)
    assert next_of(others).supersedes is None


def bank(vectors: tuple[int, ...], top_k: tuple[int, ...], *more: Axis) -> Space:
    """A space of two fields that do not go together at each of their values."""
    axes = (
        Axis("vblora.vectors", ("method", "vectors"), Choice(choice=vectors)),
        Axis("vblora.top_k", ("method", "top_k"), Choice(choice=top_k)),
    )
    tree: Document = {
        **LORA.tree,
        "method": {"name": "vblora", "vector_length": 64},
        "train": {"steps": 8, "learning_rate": 1e-3},
    }
    return Space((MethodSpace("vblora", tree, (*axes, *more)),))


def in_bank(folder: Path | None, space: Space) -> tuple[optuna.Study, Suggestions]:
    place = StudyPlace("s", Path(":memory:") if folder is None else folder / "optuna.db")
    study = open_study(place, objective=OBJECTIVE, space=space, search=SEARCH)

    def identify(point: Point) -> str:
        return require_trial(space, point).identity()

    return study, Suggestions(study, space=space, search=SEARCH, identify=identify)


def test_a_point_that_is_no_trial_fails_with_its_reason_and_is_passed_over(tmp_path: Path) -> None:
    study, suggestions = in_bank(tmp_path, bank((8, 2), (2, 4)))
    tell_all(suggestions)
    whole = study.get_trials(states=[TrialState.COMPLETE])
    tried = sorted(
        tuple(trial.params[f"vblora.{x}"] for x in ("vectors", "top_k")) for trial in whole
    )
    assert tried == [(2, 2), (8, 2), (8, 4)]
    refused = [trial for trial in study.get_trials() if REASON in trial.user_attrs]
    assert refused
    assert {trial.state for trial in refused} == {TrialState.FAIL}
    assert {tuple(sorted(trial.params.items())) for trial in refused} == {
        (("vblora.top_k", 4), ("vblora.vectors", 2))
    }
    assert all("top_k is 4 but the bank has 2" in trial.user_attrs[REASON] for trial in refused)
    # Another point took its place, and it is not tried again.
    assert len(ended_trials(study)) == 3
    assert enqueue_failed(study) == []
    assert "passed over: methods.vblora: top_k is 4" in repeats_note(study, SEARCH)


def test_a_point_that_is_no_trial_is_not_left_running_by_a_resume(tmp_path: Path) -> None:
    space = bank((8, 2), (2, 4))
    study, _ = in_bank(tmp_path, space)
    study.enqueue_trial({"vblora.vectors": 2, "vblora.top_k": 4})
    # A driver died of it.
    draw(study, space, SEARCH)
    study, suggestions = in_bank(tmp_path, space)
    suggestion = next_of(suggestions)
    assert suggestion.number == 1
    assert [trial.state for trial in study.get_trials()] == [TrialState.FAIL, TrialState.RUNNING]


def test_a_space_without_a_trial_is_given_up() -> None:
    study, suggestions = in_bank(None, bank((2, 3), (4, 5), RATE))
    assert suggestions.next() is None
    assert len(study.get_trials(states=[TrialState.FAIL])) == MANY_REPEATS
    assert study.get_trials(states=[TrialState.RUNNING]) == []
    assert trials_left(study, SEARCH) == 0


def test_a_choice_of_lists_is_known_again(tmp_path: Path) -> None:
    targets = Choice(choice=(["q_proj"], ["v_proj"], None))
    space = Space((MethodSpace("lora", {}, (Axis("lora.targets", ("targets",), targets),)),))
    _, suggestions = finite(tmp_path, space)
    assert sorted(tell_all(suggestions)) == ["lora-None", "lora-['q_proj']", "lora-['v_proj']"]
