"""A design as values: its trials, seed by seed, and their names."""

from __future__ import annotations

from sweeper.experiment.design import Configuration, DesignPlan
from sweeper.search.draws import draw_all, params_of


def plan(*names: str) -> DesignPlan:
    found = tuple(
        Configuration(
            name,
            {"method": {"name": "lora"}, "train": {"steps": 3}},
            method="lora",
            answers="",
            levels={},
        )
        for name in names
    )
    return DesignPlan("grid", "best", found, (4, 5), (2,), None, "added")


def test_all_configurations_are_trained_with_a_seed_before_the_next_one():
    trials = list(plan("a", "b=0.5, c").trials())
    assert [(x.configuration, x.seed) for _, x in trials] == [
        ("a", 4),
        ("b=0.5, c", 4),
        ("a", 5),
        ("b=0.5, c", 5),
    ]
    entry, _ = trials[1]
    assert entry["name"] == "b-0-5-c-s4"
    assert entry["train"] == {"steps": 3, "seed": 4}


def test_names_that_come_to_one_text_are_told_apart():
    names = [entry["name"] for entry, _ in plan("a=1", "a-1", "?").trials()]
    assert names[:3] == ["a-1-s4", "a-1-1-s4", "c-s4"]
    names = [entry["name"] for entry, _ in plan("a-1-2", "a-1", "a=1").trials()]
    assert len(set(names)) == len(names)


def test_a_trial_says_its_configuration_and_its_seed(design_of):
    design = {"kind": "grid", "factors": {"method": {"rank": [2, 4]}}, "seeds": 2}
    params = [params_of(x.spec, x.space) for x in draw_all(design_of(design))]
    assert [(x["configuration"], x["seed"], x["rank"]) for x in params[:2]] == [
        ("rank=2", 0, 2),
        ("rank=4", 0, 4),
    ]
    assert "trial" not in params[0]
