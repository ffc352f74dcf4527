"""pydantic's errors become problems in the words of the one who wrote the file."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from sweeper.experiment.problems import problems_of
from sweeper.experiment.space.listed import ListedTrial
from sweeper.experiment.trial import TrialSpec


def told(model: type[BaseModel], tree: object, *, under: str = "") -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(tree)
    return {x.path: x.message for x in problems_of(caught.value, model, under=under)}


TRIAL: dict[str, Any] = {
    "method": {"name": "lora"},
    "train": {"steps": 8, "learning_rate": 1e-3},
    "model": {"kind": "architecture", "name": "smollm2-135m"},
    "data": {"kind": "embedded"},
}


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        # The tag of a union stands in no path.
        ({"method": {"name": "lora", "rank": 0}}, "method.rank", "got 0: "),
        ({"method": {"name": "lora", "rnak": 1}}, "method.rnak", "did you mean 'rank'?"),
        ({"method": {"name": "loar"}}, "method", "unknown value 'loar'; allowed: "),
        ({"method": {"name": "rsLoRA"}}, "method", "; write {name: lora, scaling: sqrt_rank}"),
        ({"method": {"name": "lora+"}}, "method", "; write {name: lora, b_learning_rate_factor"),
        ({"method": {"rank": 1}}, "method", "does not say which one is meant; give its 'name'"),
        ({"engine": {"precision": "fp8"}}, "engine.precision", "allowed: fp32, bf16, fp16"),
        ({"train": {"steps": 8}}, "train.learning_rate", "is missing; give learning_rate"),
        (
            {"train": {"steps": {"ints": [1, 2]}, "learning_rate": 1}},
            "train.steps",
            "give a value or a distribution (choice, grid, uniform, loguniform, int)",
        ),
        (
            {"train": {"steps": 2, "learning_rate": 1}},
            "train",
            "evaluations is 4 but steps is 2; give at most one evaluation a step",
        ),
        ({"trian": {}}, "trian", "did you mean 'train'?"),
    ],
)
def test_a_problem_has_place_and_message(changes: dict[str, Any], path: str, message: str) -> None:
    found = told(TrialSpec, TRIAL | changes)
    assert list(found) == [path]
    assert message in found[path]


def test_a_place_is_put_under_another() -> None:
    assert list(told(ListedTrial, {"name": "x"}, under="trials.x")) == ["trials.x.method"]
