"""A study that goes on in a space that was changed: one name a kind, trials that still agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from sweeper.experiment.space.distributions import Choice, Distribution, IntRange, LogUniform
from sweeper.experiment.space.space import MethodSpace, Point, Space
from sweeper.search import Suggestions, note_revision, open_study
from sweeper.search.driving.names import Names
from sweeper.search.study import is_exhausted, mark_exhausted
from sweeper.tracking.databases import StudyPlace
from tests.sweeper.search.two_methods import (
    LORA,
    MASA,
    OBJECTIVE,
    RATE,
    SEARCH,
    SPACE,
    identity_of,
    study_in,
)

MANY = SEARCH.model_copy(update={"trials": 60})


def with_axis(method: MethodSpace, name: str, distribution: Distribution) -> MethodSpace:
    """A method of which one field is drawn from another distribution."""
    axes = tuple(
        replace(axis, distribution=distribution) if axis.name == name else axis
        for axis in method.axes
    )
    return replace(method, axes=axes)


def run(study: optuna.Study, space: Space, count: int) -> list[Point]:
    """Points that are drawn and told: the higher the learning rate, the better."""
    suggestions = Suggestions(study, space=space, search=MANY, identify=identity_of)
    points = []
    for _ in range(count):
        suggestion = suggestions.next()
        assert suggestion is not None
        points.append(suggestion.point)
        rate = suggestion.point["train.learning_rate"]
        assert isinstance(rate, float)
        suggestions.end(suggestion.number, evaluation=1, value=-rate, is_complete=True)
    return points


def rates(low: float, high: float) -> Space:
    range_of = LogUniform(loguniform=(low, high))
    methods = [with_axis(method, RATE.name, range_of) for method in (MASA, LORA)]
    return Space(tuple(methods), SPACE.baselines)


def test_a_space_that_was_never_changed_is_asked_by_its_own_names(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    run(study, SPACE, 6)
    names = Names(study, SPACE)
    assert not names.is_revised
    assert {name for trial in study.get_trials() for name in trial.params} == {
        "method",
        "masa.experts",
        "lora.rank",
        "train.learning_rate",
    }


@pytest.mark.parametrize("ends", [(1e-3, 5e-3), (1e-4, 1.0)])
def test_a_range_that_was_changed_is_searched_to_its_new_ends(
    tmp_path: Path, ends: tuple[float, float]
) -> None:
    study = study_in(tmp_path)
    run(study, SPACE, 12)
    drawn = run(study, rates(*ends), 25)
    found: list[Any] = [point["train.learning_rate"] for point in drawn]
    assert all(ends[0] <= rate <= ends[1] for rate in found)
    # TPE follows what is better: up to where the old range ended, and beyond in a wider one.
    assert max(found) > (3e-3 if ends[1] < 1e-2 else 2e-2)


def test_other_choices_have_another_name_in_the_study_and_keep_what_agrees(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    run(study, SPACE, 12)
    lora = with_axis(LORA, "lora.rank", Choice(choice=(8, 16, 32)))
    space = Space((MASA, lora), SPACE.baselines)
    drawn = run(study, space, 15)
    assert {point["lora.rank"] for point in drawn if "lora.rank" in point} <= {8, 16, 32}
    names = Names(study, space)
    assert names.is_revised
    recast = {trial.number: names.recast(trial) for trial in study.get_trials()}
    for trial in study.get_trials()[:12]:
        own = recast[trial.number]
        if trial.params.get("lora.rank") == 4:
            assert own is None
        elif "lora.rank" in trial.params:
            assert own is not None
            assert [own.params[x] for x in own.params if x.startswith("lora.rank~")] == [8]
    # Back again, the old trials count as before.
    assert Names(study_in(tmp_path), SPACE).recast(study.get_trials()[0]) is not None
    again = run(study, SPACE, 4)
    assert all(point.get("lora.rank", 4) in (4, 8) for point in again)


def test_a_choice_may_become_a_range_of_whole_numbers(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    run(study, SPACE, 10)
    lora = with_axis(LORA, "lora.rank", IntRange(int=(2, 10)))
    drawn = run(study, Space((MASA, lora), SPACE.baselines), 20)
    ranks: list[Any] = [point["lora.rank"] for point in drawn if "lora.rank" in point]
    assert all(isinstance(rank, int) and 2 <= rank <= 10 for rank in ranks)
    assert set(ranks) - {4, 8}


def test_what_waits_loses_a_value_that_the_space_has_no_longer(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    # The baseline has five experts.
    masa = with_axis(MASA, "masa.experts", IntRange(int=(2, 3)))
    (first,) = run(study, Space((masa, LORA), SPACE.baselines), 1)
    assert first["method"] == "masa"
    assert first["masa.experts"] in (2, 3)


def test_the_space_is_looked_at_before_each_draw(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    given: list[tuple[Space, Any]] = []
    suggestions = Suggestions(
        study,
        space=SPACE,
        search=MANY,
        identify=identity_of,
        revised=lambda: given.pop() if given else None,
    )
    suggestions.next()
    given.append((rates(5e-2, 9e-2), MANY))
    for _ in range(3):
        suggestion = suggestions.next()
        assert suggestion is not None
        rate = suggestion.point["train.learning_rate"]
        assert isinstance(rate, float)
        assert 5e-2 <= rate <= 9e-2


def test_a_space_that_was_changed_is_not_exhausted_any_more(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    mark_exhausted(study)
    note_revision(study, 0)
    assert is_exhausted(study)
    note_revision(study, 1)
    assert not is_exhausted(study_in(tmp_path))
    assert study.get_trials(states=[TrialState.FAIL]) == []


def test_what_agrees_is_shown_though_lists_became_values_of_a_choice(tmp_path: Path) -> None:
    lora = with_axis(LORA, "lora.rank", Choice(choice=(["q_proj"], 8)))
    before, after = Space((lora,)), Space((with_axis(LORA, "lora.rank", Choice(choice=(8, 16))),))
    place = StudyPlace("s", tmp_path / "optuna.db")
    study = open_study(place, objective=OBJECTIVE, space=before, search=MANY)
    run(study, before, 6)
    names = Names(study, after)
    name = names.of("lora.rank", CategoricalDistribution((8, 16)))
    found = [names.recast(trial) for trial in study.get_trials()]
    ranks = [trial.params["lora.rank"] for trial in study.get_trials()]
    assert set(ranks) == {"8", '["q_proj"]'}
    assert [None if x is None else x.params[name] for x in found] == [
        8 if rank == "8" else None for rank in ranks
    ]
