"""What each design asks of its table, and who takes part."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.analysis.conclusions.questions import MOST_PAIRED, questions_of, rate_grids
from sweeper.analysis.statistics.verdicts import (
    AgainstControl,
    AllPairs,
    Best,
    DeclaredPairs,
    Factorial,
    Peaks,
    SizeTrend,
)
from sweeper.experiment.design import DesignPlan
from tests.sweeper.designs import LORA, MASA, MOSA, sweep_of

RATES = {"low": 1e-3, "high": 4e-3, "count": 4}
SEVEN = [
    *(LORA, MOSA),
    *({"name": name, "rank": 4} for name in ("pissa", "dora", "cola", "hydralora", "multilora")),
]


def plan_of(design: dict[str, Any], methods: Any = (LORA, MOSA), **changes: Any) -> DesignPlan:
    plan = sweep_of({"seeds": 3, **design}, methods, **changes).design
    assert plan is not None
    return plan


def ranks(*values: object) -> dict[str, Any]:
    return {"factors": {"method": {"rank": list(values)}}}


def test_two_methods_are_compared_in_all_pairs():
    plan = plan_of({"kind": "paired", "tune": None})
    assert questions_of(plan) == (Best(), AllPairs())


def test_of_many_each_is_compared_with_the_first():
    plan = plan_of({"kind": "grid", **ranks(*range(1, MOST_PAIRED + 2))}, [LORA])
    first = plan.configurations[0].name
    assert questions_of(plan) == (Best(), AgainstControl(first))
    fewer = plan_of({"kind": "grid", **ranks(*range(1, MOST_PAIRED + 1))}, [LORA])
    assert questions_of(fewer) == (Best(), AllPairs())


def test_a_control_arm_is_compared_with_its_own_whatever_the_first_is():
    plan = plan_of({"kind": "grid", **ranks(1, 2, 3, 4)}, [LORA, MASA])
    assert questions_of(plan) == (
        Best(),
        AgainstControl("lora, rank=1"),
        DeclaredPairs((("masa, rank=1", "masa_control"),)),
    )
    rates = {"factors": {"train": {"learning_rate": [1e-3, 2e-3, 3e-3]}}}
    *_, pairs = questions_of(plan_of({"kind": "grid", **rates}, [LORA, MASA]))
    said = [f"learning_rate={rate}" for rate in ("0.001", "0.002", "0.003")]
    assert pairs == DeclaredPairs(tuple((f"masa, {x}", f"masa_control, {x}") for x in said))


@pytest.mark.parametrize("count", [2, MOST_PAIRED, MOST_PAIRED + 1])
def test_tuned_methods_are_compared_at_their_peaks(count):
    methods = SEVEN[:count]
    plan = plan_of({"kind": "paired", "rates": RATES, "control": "none"}, methods)
    (asked,) = questions_of(plan)
    assert isinstance(asked, Peaks)
    assert [grid.method for grid in asked.grids] == [x["name"] for x in methods]
    assert asked.control == (None if count <= MOST_PAIRED else methods[0]["name"])
    own = asked.grids[1]
    assert own.rates == (0.001, 0.00159, 0.00252, 0.004)
    assert own.parameter == "train.learning_rate"
    name = methods[1]["name"]
    assert own.configurations == tuple(f"{name}, learning_rate={rate:.3g}" for rate in own.rates)
    assert rate_grids(plan) == asked.grids


MASA_CONTROL = {**MASA, "name": "masa_control"}


@pytest.mark.parametrize("tune", ["train.learning_rate", None])
def test_a_method_is_compared_with_its_control_arm_though_neither_is_first(tune):
    pair = ("masa", "masa_control")
    design = {"kind": "paired", "tune": tune, **({"rates": RATES} if tune else {})}
    # Added by the design, and listed by the file.
    for methods in ([*SEVEN[:5], MASA], [*SEVEN[:5], MASA_CONTROL, MASA]):
        questions = questions_of(plan_of(design, methods))
        if tune:
            (asked,) = questions
            assert isinstance(asked, Peaks)
            assert (asked.control, asked.pairs) == ("lora", (pair,))
        else:
            assert questions == (Best(), AgainstControl("lora"), DeclaredPairs((pair,)))


@pytest.mark.parametrize("first", [MASA, MASA_CONTROL])
def test_what_the_first_is_in_is_asked_once(first):
    methods = [first, *SEVEN[:6], MASA_CONTROL if first is MASA else MASA]
    (asked,) = questions_of(plan_of({"kind": "paired", "rates": RATES}, methods))
    assert isinstance(asked, Peaks)
    assert (asked.control, asked.pairs) == (first["name"], ())
    asked_plainly = questions_of(plan_of({"kind": "paired", "tune": None}, methods))
    assert asked_plainly == (Best(), AgainstControl(first["name"]))
    # Up to six are in all pairs.
    few = plan_of({"kind": "paired", "rates": RATES}, [first, LORA])
    (asked,) = questions_of(few)
    assert isinstance(asked, Peaks)
    assert (asked.control, asked.pairs) == (None, ())


def test_a_baseline_is_the_control_and_sizes_have_a_trend():
    plan = plan_of({"kind": "one_factor", **ranks(2, 4, 8)}, [LORA])
    assert questions_of(plan) == (
        Best(),
        AgainstControl("rank=4"),
        SizeTrend("rank", (("rank=2", 2.0), ("rank=4", 4.0), ("rank=8", 8.0))),
    )


def test_a_control_arm_and_what_is_no_size_are_in_no_trend():
    factors = {"factors": {"method": {"experts": [2, 4, 8], "group_size": [1, 2]}}}
    plan = plan_of({"kind": "one_factor", **factors}, [{**MASA, "experts": 4, "group_size": 2}])
    assert "masa_control" in [x.name for x in plan.configurations]
    best, control, *trends = questions_of(plan)
    assert (best, control) == (Best(), AgainstControl("baseline"))
    # Two sizes have no bend and their pair says all; three have a trend.
    (experts,) = trends
    assert experts == SizeTrend(
        "experts", (("baseline", 4.0), ("experts=2", 2.0), ("experts=8", 8.0))
    )
    kinds = {"factors": {"method": {"grouping": ["brt", "row", "col"]}}}
    plan = plan_of({"kind": "one_factor", **kinds}, [MOSA])
    assert len(questions_of(plan)) == 2


def test_a_factorial_asks_for_effects_of_its_cells():
    factors = {"factors": {"method": {"experts": [2, 4], "group_size": [1, 2]}}}
    plan = plan_of({"kind": "factorial", **factors}, [MASA])
    effects, pairs = questions_of(plan)
    assert isinstance(effects, Factorial)
    assert len(effects.cells) == 4
    assert effects.cells[1] == (
        "experts=2, group_size=2",
        (("experts", "2"), ("group_size", "2")),
    )
    assert pairs == DeclaredPairs((("experts=2, group_size=1", "masa_control"),))


def test_trials_that_are_replicated_are_compared_in_all_pairs():
    trials = [{"name": "one", "method": LORA}, {"name": "two", "method": MASA}]
    plan = plan_of({"kind": "replicate"}, trials=trials)
    assert [x.name for x in plan.configurations] == ["one", "two", "two-control"]
    assert questions_of(plan) == (Best(), AllPairs())
