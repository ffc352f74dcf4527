"""The design `grid`: every combination, and what is no factor."""

from __future__ import annotations

import pytest

from tests.sweeper.experiment.spaces import problems_of_loading

FACTORS = {"method": {"experts": [2, 4]}, "train": {"learning_rate": [0.001, 0.003]}}
LORA = [{"name": "lora", "rank": 4}]


def names(sweep):
    return [configuration.name for configuration in sweep.design.configurations]


def test_every_combination_comes_once(design_of):
    design = {"kind": "grid", "factors": {**FACTORS, "method": {"rank": [2, 4]}}}
    sweep = design_of(design, methods=LORA)
    assert names(sweep) == [
        "rank=2, learning_rate=0.001",
        "rank=2, learning_rate=0.003",
        "rank=4, learning_rate=0.001",
        "rank=4, learning_rate=0.003",
    ]
    assert sweep.design.question == "best"
    assert sweep.design.baseline is None
    assert [x.levels["rank"] for x in sweep.design.configurations] == [2, 2, 4, 4]


def test_the_control_arm_is_that_of_the_first_combination_at_each_rate(design_of):
    sweep = design_of({"kind": "grid", "factors": FACTORS})
    assert names(sweep)[4:] == [
        "masa_control, learning_rate=0.001",
        "masa_control, learning_rate=0.003",
    ]
    arm = sweep.design.configurations[-1]
    assert arm.entry["method"] == {"name": "masa_control", "experts": 2}
    assert (arm.controls, arm.levels) == ("masa", {"learning_rate": 0.003})


def test_methods_that_share_fields_of_training_are_all_varied(design_of):
    design = {"kind": "grid", "factors": {"train": FACTORS["train"]}}
    sweep = design_of(design, methods=[*LORA, {"name": "masa_control"}, {"name": "masa"}])
    assert len(names(sweep)) == 6
    assert names(sweep)[0] == "lora, learning_rate=0.001"


def test_values_are_told_apart_by_all_their_digits(design_of):
    rates = [0.0012341, 0.0012342]
    design = {"kind": "grid", "factors": {"train": {"learning_rate": rates}}, "seeds": 2}
    sweep = design_of(design, methods=LORA)
    assert names(sweep) == ["learning_rate=0.0012341", "learning_rate=0.0012342"]
    trials = [sweep.space.trial({"method": space.name}) for space in sweep.space.methods]
    assert [trial.train.learning_rate for trial in trials] == rates * 2


@pytest.mark.parametrize(
    ("factors", "path", "message"),
    [
        ({}, "design.factors", "nothing is varied, so that there are no two things to compare"),
        ({"method": {"rank": [4]}}, "design.factors.method.rank", "which does not vary"),
        ({"method": {"rank": [4, 4]}}, "design.factors.method.rank", "has the value 4 twice"),
        ({"method": {"rank": [4, 4.0]}}, "design.factors.method.rank", "has the value 4.0 twice"),
        (
            {"train": {"learning_rate": [1e-4, "0.0001"]}},
            "design.learning_rate=0.0001",
            "is the name of two configurations",
        ),
        ({"train": {"seed": [1, 2]}}, "design.factors.train.seed", "the seeds are the design's"),
        ({"train": {"max_length": [8, 16]}}, "design.max_length=8.train.max_length", "compared"),
        ({"method": {"rnak": [1, 2]}}, "design.rnak=1.method.rnak", "did you mean 'rank'"),
        ({"method": {"rank": [0, 2]}}, "design.rank=0.method.rank", "got 0"),
        ({"methods": {"rank": [1, 2]}}, "design.factors.methods", "did you mean 'method'"),
        ({"method": {"rank": 4}}, "design.factors.method.rank", "must be a list; write [4]"),
        ({"method": 4}, "design.factors.method", "must be fields with their values; write {fi"),
        (4, "design.factors", "must be fields with their values (method, train)"),
    ],
)
def test_what_is_no_factor_is_told(design_of, factors, path, message):
    found = problems_of_loading(design_of, {"kind": "grid", "factors": factors}, methods=LORA)
    assert path in found, found
    assert message in found[path]
