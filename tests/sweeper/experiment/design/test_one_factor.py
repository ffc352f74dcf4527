"""The design `one_factor`: a baseline, and one change at a time."""

from __future__ import annotations

from tests.sweeper.experiment.spaces import problems_of_loading

SIZES = {"kind": "one_factor", "factors": {"method": {"group_size": [1, 2, 4]}}, "seeds": 3}


def names(sweep):
    return [configuration.name for configuration in sweep.design.configurations]


def test_a_value_that_the_method_has_is_the_baseline(design_of):
    design = design_of(SIZES).design
    assert [x.name for x in design.configurations][:3] == [
        "group_size=1",
        "group_size=2",
        "group_size=4",
    ]
    assert (design.baseline, design.question) == ("group_size=2", "one_factor")
    assert "baseline" in design.configurations[1].answers
    assert design.configurations[2].answers == "what group_size=4 does in the place of 2"
    assert [x.levels for x in design.configurations[:3]] == [{"group_size": n} for n in (1, 2, 4)]


def test_the_control_arm_is_the_baselines(design_of):
    *_, arm = design_of(SIZES).design.configurations
    assert arm.entry["method"] == {"name": "masa_control", "experts": 4}
    assert arm.controls == "group_size=2"
    assert "control arm" in arm.answers


def test_without_a_control_arm_it_is_said_that_there_is_none(design_of):
    design = design_of({**SIZES, "control": "none"}).design
    assert len(design.configurations) == 3
    assert design.document()["control"] == "none"


def test_two_factors_have_one_baseline(design_of):
    factors = {"method": {"experts": [3, 4], "sharing": ["a", "b"]}}
    sweep = design_of({"kind": "one_factor", "factors": factors, "control": "none"})
    assert names(sweep) == ["baseline", "experts=3", "sharing=b"]
    assert sweep.design.baseline == "baseline"
    assert sweep.design.configurations[2].levels == {"experts": 4, "sharing": "b"}


def test_a_baseline_of_a_field_of_training_is_the_files(design_of):
    factors = {"train": {"learning_rate": [0.01, 0.03]}}
    sweep = design_of({"kind": "one_factor", "factors": factors, "control": "none"})
    assert names(sweep) == ["baseline", "learning_rate=0.01", "learning_rate=0.03"]
    # The profile's learning rate.
    assert sweep.design.configurations[0].levels == {"learning_rate": 1e-3}


def test_a_value_that_is_the_default_is_the_baseline(design_of):
    factors = {"train": {"weight_decay": [0, 0.1]}}
    sweep = design_of({"kind": "one_factor", "factors": factors, "control": "none"})
    assert names(sweep) == ["weight_decay=0", "weight_decay=0.1"]
    assert sweep.design.baseline == "weight_decay=0"


def test_values_that_read_alike_are_no_two_changes(design_of):
    factors = {"train": {"weight_decay": [0.1, 0.1000001]}}
    sweep = design_of({"kind": "one_factor", "factors": factors, "control": "none"})
    assert names(sweep) == ["baseline", "weight_decay=0.1", "weight_decay=0.1000001"]
    routers = {"kind": "one_factor", "factors": {"method": {"router": ["softmax", None, "none"]}}}
    found = problems_of_loading(design_of, routers)
    assert "is the name of two configurations" in found["design.router=none"]


def test_it_varies_one_method(design_of):
    found = problems_of_loading(design_of, SIZES, methods=[{"name": "masa"}, {"name": "lora"}])
    assert "varies one method" in found["methods"]
