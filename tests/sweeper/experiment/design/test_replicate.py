"""The design `replicate`: given trials, each with several seeds."""

from __future__ import annotations

import pytest

from sweeper.experiment.runnable import only_runnable
from tests.sweeper.experiment.spaces import problems_of_loading

SMALL = {"name": "small", "method": {"name": "lora", "rank": 2}}
LARGE = {"name": "large", "method": {"name": "lora", "rank": 8}, "train": {"learning_rate": 1e-4}}
MASA = {"name": "masa", "method": {"name": "masa", "rank": 4}, "train": {"learning_rate": 1e-2}}


def test_each_trial_is_trained_with_each_seed(design_of):
    sweep = design_of({"kind": "replicate", "seeds": 2}, trials=[SMALL, LARGE], methods=None)
    assert [space.name for space in sweep.space.methods] == [
        "small-s0",
        "large-s0",
        "small-s1",
        "large-s1",
    ]
    trains = [sweep.space.trial({"method": x.name}).train for x in sweep.space.methods]
    assert [(x.seed, x.learning_rate) for x in trains] == [
        (0, 1e-3),
        (0, 1e-4),
        (1, 1e-3),
        (1, 1e-4),
    ]


def test_a_control_arm_has_the_rate_of_what_it_controls(design_of):
    design = design_of({"kind": "replicate"}, trials=[SMALL, MASA], methods=None).design
    arm = design.configurations[-1]
    assert arm.entry["method"] == {"name": "masa_control", "rank": 4}
    assert arm.train == {"learning_rate": 1e-2}
    assert arm.controls == "masa"


def test_a_design_is_run_whole_or_not_at_all(design_of):
    trials = [SMALL, {**LARGE, "architecture": "llama3-8b"}]
    sweep = design_of({"kind": "replicate", "seeds": 2}, trials=trials, methods=None)
    found = problems_of_loading(only_runnable, sweep)
    assert list(found) == ["design.large.architecture"]
    assert "is not the model of profile tiny" in found["design.large.architecture"]
    whole = design_of({"kind": "replicate"}, trials=[SMALL, LARGE], methods=None)
    assert only_runnable(whole) == (whole, ())


@pytest.mark.parametrize(
    ("trials", "path", "message"),
    [
        ([SMALL], "trials", "has no two trials to compare"),
        ([SMALL, {**LARGE, "train": {"seed": 3}}], "trials.large.train.seed", "would repeat"),
        ([SMALL, {**SMALL, "name": "again"}], "design.again", "is the same as small"),
        (
            [{"name": "x", "method": {"name": "lora"}}, {**LARGE, "train": {"steps": 8}}],
            "design.large",
            "is the same as x",
        ),
        ([SMALL, SMALL], "trials.1.name", "stands twice"),
        (
            [{**MASA, "name": "a"}, {**SMALL, "name": "a-control"}],
            "design.a-control",
            "is the name of two configurations",
        ),
        ([SMALL, {"name": "x"}], "design.x.method", "is missing"),
        ([{"method": {"name": "lora"}}], "trials.0.name", "is missing"),
    ],
)
def test_what_is_no_replication_is_told(design_of, trials, path, message):
    found = problems_of_loading(design_of, {"kind": "replicate"}, trials=trials, methods=None)
    assert path in found, found
    assert message in found[path]
