"""pydantic's errors become problems in the words of the one who wrote the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from sweeper.experiment.design import Design
from sweeper.experiment.problems import problems_of
from sweeper.experiment.space.listed import ListedTrial
from sweeper.experiment.sweep import SweepSpec
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


# pydantic's own sentences begin so.
FOREIGN = re.compile(
    r"(Input|String|Value|List|Dictionary|Tuple|Set|Data) (should|must)|Field required"
    r"|Extra inputs|Unable to|valid (string|integer|number|boolean|dictionary|list|tuple|date)"
)
WRONG: tuple[object, ...] = (
    *("x", "", "nan", "\ud800", b"\xff", -1, 0, 10**30, 1.5, float("inf"), True, None),
    *([], [None], [[1]], {}, {"x": 1}, {"kind": "x"}, {"name": 3}, object()),
)


def all_models() -> list[type[BaseModel]]:
    """Every model that a search-space file, a profile or a list is checked by."""
    union, *_ = get_args(Design)
    found = dict.fromkeys([SweepSpec, TrialSpec, ListedTrial, *get_args(union)])
    left = list(found)
    while left:
        for field in left.pop().model_fields.values():
            for model in models_in(field.annotation):
                if model not in found:
                    found[model] = None
                    left.append(model)
    return list(found)


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def test_no_sentence_of_pydantic_reaches_a_user() -> None:
    models = all_models()
    assert len(models) > 30
    told_of: set[str] = set()
    for model in models:
        for name in model.model_fields:
            for wrong in WRONG:
                try:
                    model.model_validate({name: wrong})
                except ValidationError as error:
                    told_of.update(map(str, problems_of(error, model)))
    assert len(told_of) > 500
    assert [text for text in told_of if FOREIGN.search(text)] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"method": {"name": "lora", "rank": 0}},
            "got 0: it must be at least 1; give such a number",
        ),
        (
            {"method": {"name": "lora", "dropout": 2}},
            "got 2: it must be below 1; give such a number",
        ),
        (
            {"train": {"steps": 8, "learning_rate": "fast"}},
            "got 'fast': it must be a number; give one",
        ),
        ({"train": {**TRIAL["train"], "bucketing": "x"}}, "got 'x': it must be true or false"),
        ({"train": {**TRIAL["train"], "batch_size": "x"}}, "got 'x': it must be a whole number"),
    ],
)
def test_a_bound_is_told_in_our_words(changes: dict[str, Any], message: str) -> None:
    (found,) = told(TrialSpec, TRIAL | changes).values()
    assert message in found


def test_only_what_can_be_searched_is_proposed_to_be() -> None:
    tree = TRIAL | {"train": {"steps": 2.5, "learning_rate": 1e-3, "max_length": 2.5}}
    with pytest.raises(ValidationError) as caught:
        TrialSpec.model_validate(tree)
    found = problems_of(caught.value, TrialSpec, is_searchable=lambda path: path == "train.steps")
    whole = "got 2.5: takes whole numbers only; write one"
    assert {x.path: x.message for x in found} == {
        "train.steps": f"{whole}, or search it with {{int: [low, high]}}",
        "train.max_length": whole,
    }
    assert told(SweepSpec, {"search": {"seed": 2.5}})["search.seed"] == whole
