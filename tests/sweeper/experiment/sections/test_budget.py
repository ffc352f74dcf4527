"""The section `budget`: which budgets there are, and that nothing else sets a size."""

from __future__ import annotations

import pytest

from sweeper.experiment.documents.tree import Document
from sweeper.experiment.sections import read_budget
from sweeper.experiment.sections.budget import find_conflicts, has_budget
from sweeper.experiment.space.budget import MatchBudget, ParamsBudget
from sweeper.experiment.space.space import MethodSpace
from tests.sweeper.experiment.spaces import problems_of_loading


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"methods": [{"name": "lora", "rank": 8}], "baselines": []}, "methods.lora.rank"),
        (
            {"methods": [{"name": "lora", "rank": {"int": [2, 9]}}], "baselines": []},
            "methods.lora.rank",
        ),
        ({"methods": [{"name": "mosa", "groups": 99}], "baselines": []}, "methods.mosa.groups"),
        ({"baselines": [{"method": {"name": "lora", "rank": 8}}]}, "baselines.0.method.rank"),
    ],
)
def test_a_size_beside_a_budget_is_a_conflict(sized, changes, path):
    assert "the budget sets it" in problems_of_loading(sized, **changes)[path]


def test_an_alpha_beside_a_rule_for_it_is_a_conflict(sized):
    budget: Document = {"match": "lora", "rank": 8, "alpha_per_rank": 2}
    changes = {"methods": [{"name": "lora", "alpha": 16}], "baselines": []}
    found = problems_of_loading(sized, budget=budget, **changes)
    assert found["methods.lora.alpha"].endswith("leave alpha out, or budget.alpha_per_rank")
    sized(**changes)
    # PEFT's own name of it is another one.
    entry: Document = {"name": "peft", "type": "LORA", "lora_alpha": 16}
    (problem,) = find_conflicts({"budget": budget}, entry, MethodSpace("peft_lora", {}, ()))
    assert problem.message.endswith("leave lora_alpha out, or budget.alpha_per_rank")


def test_alphas_of_layers_beside_a_rule_for_them_are_a_conflict(sized):
    budget: Document = {"match": "lora", "rank": 8, "alpha_per_rank": 2}
    alphas = {"name": "lora", "alpha_pattern": {"q_proj": 16}}
    found = problems_of_loading(sized, budget=budget, methods=[alphas], baselines=[])
    assert found["methods.lora.alpha_pattern"].endswith(
        "sets its scale; leave alpha_pattern out, or budget.alpha_per_rank"
    )
    ranks = {"name": "lora", "rank_pattern": {"q_proj": 16}}
    sized(budget=budget, methods=[ranks], baselines=[])
    sized(methods=[alphas], baselines=[])


@pytest.mark.parametrize(
    "method",
    [
        {"name": "lora", "scaling": "sqrt_rank"},
        {"name": "lora", "scaling": {"choice": ["rank", "sqrt_rank"]}},
        {"name": "peft", "type": "LORA", "use_rslora": True},
    ],
)
@pytest.mark.parametrize("size", [{"match": "lora", "rank": 8}, {"params": "1%"}])
def test_a_rule_for_the_scale_is_none_of_rslora(sized, method, size):
    changes = {"methods": [method], "baselines": []}
    found = problems_of_loading(sized, budget={**size, "alpha_per_rank": 2}, **changes)
    field = "use_rslora" if "type" in method else "scaling"
    assert found["budget.alpha_per_rank"].endswith(f"leave {field} out, or budget.alpha_per_rank")
    sized(budget=size, **changes)


@pytest.mark.parametrize(
    ("budget", "path", "message"),
    [
        ({"params": 0.52}, "budget.params", "0.52% if percent is meant"),
        ({"match": "dora", "rank": 8}, "budget.match", "allowed: lora"),
        ({"match": "lora"}, "budget.rank", "is missing"),
        ({"match": "lora", "rank": 0}, "budget.rank", "must be at least 1"),
        ({"match": "lora", "rank": 8, "params": 9}, "budget", "match: lora"),
        ({"percent": 8}, "budget", "match: lora"),
        (0.52, "budget", "match: lora"),
        ({"match": "lora", "rank": 8, "target": ["q"]}, "budget.target", "'targets'"),
        ({"match": "lora", "rank": 8, "targets": ["q_porj"]}, "budget.targets", "'q_proj'"),
    ],
)
def test_a_budget_that_cannot_be_is_told(sized, budget, path, message):
    found = problems_of_loading(sized, budget=budget)
    assert message in found[path]


def test_the_field_says_which_budget_it_is() -> None:
    assert read_budget({}) == (None, [])
    assert read_budget({"budget": None}) == (None, [])
    assert read_budget({"budget": {"match": "lora", "rank": 8}}) == (
        MatchBudget(match="lora", rank=8),
        [],
    )
    assert read_budget({"budget": {"params": 42}}) == (ParamsBudget(params=42), [])


def test_a_budget_that_cannot_be_read_sets_sizes_all_the_same() -> None:
    document: Document = {"budget": 0.5}
    assert has_budget(document)
    space = MethodSpace("lora", {}, ())
    (problem,) = find_conflicts(document, {"name": "lora", "rank": 3}, space)
    assert problem.path == "methods.lora.rank"
    assert "is 3, but the budget sets it" in problem.message
    assert find_conflicts({}, {"name": "lora", "rank": 3}, space) == []
    assert find_conflicts(document, {"name": "lora", "alpha": 3}, space) == []
