"""Which way a search goes: it follows from the metric, or has to be said."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.objective import ObjectiveSpec
from sweeper.search import open_study
from sweeper.tracking.databases import StudyPlace
from tests.sweeper.experiment.spaces import problems_of_space
from tests.sweeper.search.two_methods import SEARCH
from tests.sweeper.search.two_methods import SPACE as POINTS


@pytest.mark.parametrize("given", ["{metric: accuracy}", "{metric: accuracy, mode: null}"])
def test_an_accuracy_is_maximised(space: Path, given: str) -> None:
    assert load_sweep(space, overrides=[f"objective={given}"]).spec.objective.mode == "max"
    assert load_sweep(space).spec.objective.mode == "min"


def test_the_mode_of_an_unknown_metric_is_demanded(space: Path) -> None:
    found = problems_of_space(space, "objective.metric=my_score")
    assert found == {
        "objective.mode": "is missing, and metric 'my_score' does not say which values are "
        "better; give mode: min where lower ones are, mode: max where higher ones are"
    }
    sweep = load_sweep(space, overrides=["objective={metric: my_score, mode: max}"])
    assert sweep.spec.objective == ObjectiveSpec(metric="my_score", mode="max")


@pytest.mark.parametrize(
    ("metric", "mode", "better"),
    [("eval_loss", "max", "lower"), ("accuracy", "min", "higher")],
)
def test_a_search_for_the_worst_is_warned_of(
    space: Path, caplog: pytest.LogCaptureFixture, metric: str, mode: str, better: str
) -> None:
    with caplog.at_level(logging.WARNING):
        load_sweep(space)
        assert caplog.messages == []
        sweep = load_sweep(space, overrides=[f"objective={{metric: {metric}, mode: {mode}}}"])
    assert sweep.spec.objective.mode == mode
    (message,) = caplog.messages
    assert f"{better} values of {metric} are better" in message


def test_a_study_of_the_other_mode_is_not_gone_on_with(tmp_path: Path) -> None:
    place = StudyPlace("s", tmp_path / "optuna.db")
    old = ObjectiveSpec(metric="accuracy", mode="min")
    open_study(place, objective=old, space=POINTS, search=SEARCH)
    assert len(open_study(place, objective=old, space=POINTS, search=SEARCH).trials) == 1
    with pytest.raises(BadInputError, match="was begun to minimize accuracy"):
        open_study(place, objective=ObjectiveSpec(metric="accuracy"), space=POINTS, search=SEARCH)
