"""Trials that have begun before their space was changed: they stay what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from sweeper.experiment.space.distributions import Choice, Distribution, IntRange, LogUniform
from sweeper.experiment.space.space import Axis, Space
from sweeper.search import Suggestions, open_study
from sweeper.search.driving.attributes import OBSERVED
from sweeper.search.study import enqueue_failed
from sweeper.tracking.databases import StudyPlace
from tests.sweeper.search.two_methods import LORA, OBJECTIVE, RATE, SEARCH, SPACE, identity_of

MANY = SEARCH.model_copy(update={"trials": 60})
TARGETS = Axis("lora.targets", ("method", "targets"), Choice(choice=(["q_proj"], ["v_proj"])))
NAMED = Axis("lora.targets", ("method", "targets"), Choice(choice=("all", None)))
RANKS = Axis("lora.rank", ("method", "rank"), LogUniform(loguniform=(2.0, 32.0)))


def one(axis: Axis, distribution: Distribution | None = None) -> Space:
    """A space in which LoRA alone has one field, perhaps drawn from another distribution."""
    axis = axis if distribution is None else replace(axis, distribution=distribution)
    return Space((replace(LORA, axes=(axis, RATE)),))


CHANGES = [
    pytest.param(one(NAMED), one(TARGETS), id="words become lists"),
    pytest.param(one(TARGETS), one(NAMED), id="lists become words"),
    pytest.param(one(TARGETS), one(TARGETS, Choice(choice=(["k_proj"],))), id="other lists"),
    pytest.param(one(RANKS), one(RANKS, IntRange(int=(2, 32))), id="a range of whole numbers"),
    pytest.param(one(NAMED), one(NAMED, IntRange(int=(2, 4))), id="words become numbers"),
    pytest.param(one(RANKS), one(RANKS, Choice(choice=(4, 8))), id="a range becomes a choice"),
    pytest.param(
        one(RANKS), one(RANKS, LogUniform(loguniform=(40.0, 64.0))), id="a range further up"
    ),
]


def opened(folder: Path, space: Space) -> Suggestions:
    """What a driver suggests that opens the study now."""
    place = StudyPlace("s", folder / "optuna.db")
    study = open_study(place, objective=OBJECTIVE, space=space, search=MANY)
    return Suggestions(study, space=space, search=MANY, identify=identity_of)


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_a_trial_left_running_keeps_values_of_another_kind(
    tmp_path: Path, before: Space, after: Space
) -> None:
    left = opened(tmp_path, before).next()
    again = opened(tmp_path, after).next()
    assert left is not None
    assert again is not None
    assert again.point == left.point
    assert [type(x) for x in again.point.values()] == [type(x) for x in left.point.values()]
    assert again.supersedes is None


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_a_failed_trial_is_tried_again_as_it_was(
    tmp_path: Path, before: Space, after: Space
) -> None:
    suggestions = opened(tmp_path, before)
    failed = suggestions.next()
    assert failed is not None
    suggestions.fail(failed.number)
    place = StudyPlace("s", tmp_path / "optuna.db")
    study = open_study(place, objective=OBJECTIVE, space=after, search=MANY)
    assert enqueue_failed(study) == [failed.trial_id]
    # A driver that dies at once leaves it to the next one.
    for _ in range(2):
        suggestions = opened(tmp_path, after)
        again = suggestions.next()
        assert again is not None
        assert again.point == failed.point
        assert (again.trial_id, again.supersedes) == (failed.trial_id, None)
    # What is drawn next is of the space as it is now.
    drawn = suggestions.next()
    assert drawn is not None
    for axis in after.methods[0].axes:
        assert axis.distribution.contains(drawn.point[axis.name])


def test_a_trial_of_several_methods_keeps_its_method_and_what_it_searched(tmp_path: Path) -> None:
    left = opened(tmp_path, SPACE).next()
    assert left is not None
    before: Any = left.point["train.learning_rate"]
    # The range is moved away from what the trial has.
    ends = (5e-3, 9e-3) if before < 5e-3 else (1e-4, 1e-3)
    methods = [
        replace(
            method,
            axes=(
                method.axes[0],
                replace(method.axes[1], distribution=LogUniform(loguniform=ends)),
            ),
        )
        for method in SPACE.methods
    ]
    again = opened(tmp_path, Space(tuple(methods), SPACE.baselines)).next()
    assert again is not None
    assert again.point == left.point


def test_what_a_dead_driver_had_not_drawn_yet_is_drawn(tmp_path: Path) -> None:
    place = StudyPlace("s", tmp_path / "optuna.db")
    study = open_study(place, objective=OBJECTIVE, space=one(RANKS), search=MANY)
    rank = study.ask().suggest_float("lora.rank", 2.0, 32.0, log=True)
    after = one(RANKS, Choice(choice=(40, 48)))
    again = opened(tmp_path, after).next()
    assert again is not None
    assert again.point["lora.rank"] == rank
    assert RATE.distribution.contains(again.point["train.learning_rate"])


@pytest.mark.parametrize("observed", [0, 2])
def test_a_resume_draws_what_would_have_been_drawn(tmp_path: Path, observed: int) -> None:
    def begun(name: str) -> optuna.Study:
        study = open_study(
            StudyPlace("s", tmp_path / name), objective=OBJECTIVE, space=one(RANKS), search=MANY
        )
        for number in range(observed):
            study.add_trial(
                optuna.trial.create_trial(value=float(number), user_attrs={OBSERVED: "old"})
            )
        return study

    def suggestions(study: optuna.Study) -> Suggestions:
        return Suggestions(study, space=one(RANKS), search=MANY, identify=identity_of)

    whole, cut = begun("whole.db"), begun("cut.db")
    expected = suggestions(whole).next()
    # The driver dies before it has drawn anything.
    cut.ask()
    again = suggestions(cut).next()
    assert expected is not None
    assert again is not None
    assert again.point == expected.point
