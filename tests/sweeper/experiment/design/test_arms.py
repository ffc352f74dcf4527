"""Control arms: who owes one, which one it is, and which is none."""

from __future__ import annotations

import pytest

from sweeper.experiment.design.arms import (
    Arm,
    complete,
    find_unequal_controls,
    value_at,
    with_controls,
)
from sweeper.experiment.documents.tree import Document


def arm(name: str, **fields: object) -> Arm:
    method: dict[str, object] = {"name": name, **fields}
    return Arm(name, {"method": method})  # type: ignore[dict-item]


MASA = arm("masa", rank=4, experts=3, group_size=4, sharing="both")


def test_a_comparison_with_masa_gets_its_control_arm():
    found = complete([arm("lora"), MASA], is_sized=False)
    assert [x.name for x in found] == ["lora", "masa", "masa_control"]
    assert found[-1].controls == "masa"
    assert found[-1].entry["method"] == {
        "name": "masa_control",
        "rank": 4,
        "experts": 3,
        "group_size": 4,
        "sharing": "both",
    }


def test_a_budget_sets_the_size_of_the_control_arm_too():
    method = complete([MASA], is_sized=True)[-1].entry["method"]
    assert isinstance(method, dict)
    assert "rank" not in method


def test_who_owes_none_or_has_one_stays_as_it_is():
    assert len(complete([arm("lora"), arm("mosa")], is_sized=False)) == 2
    assert len(complete([MASA, arm("masa_control", experts=9)], is_sized=False)) == 2


@pytest.mark.parametrize(
    ("fields", "is_sized", "message"),
    [
        ({"rank": 8}, False, "rank is 8 and that of masa is 4; a control arm of another size"),
        ({"rank": 4, "experts": 5}, False, "experts is 5 and that of masa is 3"),
        ({"experts": 5}, True, "experts is 5 and that of masa is 3"),
    ],
)
def test_a_control_arm_of_another_size_is_told(fields, is_sized, message):
    control = arm("masa_control", **{"group_size": 4, "sharing": "both", "experts": 3, **fields})
    ((name, found),) = find_unequal_controls([MASA, control], is_sized=is_sized)
    assert name == "masa_control"
    assert message in found


def test_under_a_budget_no_rank_is_compared():
    control = arm("masa_control", group_size=4, sharing="both", experts=3)
    assert list(find_unequal_controls([MASA, control], is_sized=True)) == []


def test_a_control_arm_that_is_listed_is_named_as_such():
    alike = arm("masa_control", rank=4, experts=3, group_size=4, sharing="both")
    found = with_controls([alike, MASA, arm("lora")], is_sized=False)
    assert [x.controls for x in found] == ["masa", "", ""]
    assert [x.controls for x in with_controls([alike, arm("lora")], is_sized=False)] == ["", ""]
    unlike = arm("masa_control", rank=8)
    assert with_controls([unlike, MASA], is_sized=False)[0].controls == ""
    # Under a budget the rank is the budget's.
    sized = arm("masa_control", experts=3, group_size=4, sharing="both")
    own = arm("masa", experts=3, group_size=4, sharing="both")
    assert with_controls([sized, own], is_sized=True)[0].controls == "masa"


def test_of_two_arms_alike_the_control_arm_is_that_of_its_own_training():
    fast = Arm("fast", {**MASA.entry, "train": {"learning_rate": 0.1}})
    control = complete([MASA, fast], is_sized=False)[-1]
    assert control.controls == "fast"
    (found,) = with_controls([MASA, fast, Arm("given", control.entry)], is_sized=False)[2:]
    assert found.controls == "fast"


CONTROL = arm("masa_control", rank=4, experts=3, group_size=4, sharing="both")


def test_a_control_arm_of_the_file_says_whose_it_is():
    found = with_controls([arm("lora"), CONTROL, MASA], is_sized=False)
    assert [x.controls for x in found] == ["", "masa", ""]
    # Another rank is no matter where a budget sets it, and only there.
    other = arm("masa_control", rank=8, experts=3, group_size=4, sharing="both")
    assert with_controls([other, MASA], is_sized=True)[0].controls == "masa"
    assert with_controls([other, MASA], is_sized=False)[0].controls == ""
    assert with_controls([CONTROL, arm("lora")], is_sized=False)[0].controls == ""


def test_of_several_arms_it_controls_the_one_that_is_trained_alike():
    slow, fast = (
        Arm(name, {**MASA.entry, "train": {"learning_rate": rate}})
        for name, rate in (("slow", 0.1), ("fast", 0.2))
    )
    own = Arm("own", {**CONTROL.entry, "train": {"learning_rate": 0.2}})
    assert with_controls([slow, fast, own], is_sized=False)[-1].controls == "fast"
    plain = Arm("own", CONTROL.entry)
    assert with_controls([slow, fast, plain], is_sized=False)[-1].controls == "slow"


def test_a_value_is_the_arms_the_files_or_the_default():
    train: Document = {"learning_rate": 0.1}
    assert value_at(MASA, ("method", "experts"), train=train) == 3
    assert value_at(MASA, ("method", "up_projections"), train=train) == 1
    assert value_at(MASA, ("train", "learning_rate"), train=train) == 0.1
