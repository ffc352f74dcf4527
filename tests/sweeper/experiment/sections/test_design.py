"""The section `design`: what may stand beside it, and what it makes of a document."""

from __future__ import annotations

import pytest

from sweeper.experiment.loading import build_sweep
from sweeper.experiment.sections import expand_design, read_design
from tests.sweeper.experiment.spaces import problems_of_loading

GRID = {"kind": "grid", "factors": {"method": {"group_size": [1, 2]}}, "seeds": 2}
RATES = [step / 1000 for step in range(1, 401)]
LORA = [{"name": "lora", "rank": {"int": [1, 4]}}]


def test_a_design_runs_without_early_stopping_and_evaluates_all_its_trials(design_of):
    sweep = design_of(GRID, final={"rows": 40})
    assert sweep.spec.search.asha is None
    assert sweep.spec.search.trials == len(sweep.space.methods) == 6
    assert (sweep.spec.final.trials, sweep.spec.final.rows) == (None, 40)


def test_the_document_makes_the_same_sweep_again(design_of):
    sweep = design_of(GRID)
    assert "trials" not in sweep.document
    assert build_sweep(sweep.document, source="again") == sweep


def test_a_document_without_a_design_has_no_plan():
    assert read_design({"methods": []}) == (None, [])


def test_its_trials_stand_in_the_place_of_its_methods(design_of):
    sweep = design_of(GRID)
    expanded = expand_design(sweep.document, sweep.design)
    assert {"design", "methods"} & expanded.keys() == set()
    trials = expanded["trials"]
    assert isinstance(trials, list)
    assert len(trials) == 6


@pytest.mark.parametrize(
    ("design", "changes", "path", "message"),
    [
        (GRID, {"search": {"trials": 4}}, "search", "a file has one of them"),
        (GRID, {"search": {"stop": "racing"}}, "search", "all run to their end"),
        (GRID, {"baselines": []}, "baselines", "drop baselines"),
        (GRID, {"trials": []}, "trials", "takes its methods; drop trials"),
        (GRID, {"final": {"trials": 2}}, "final.trials", "evaluates all its trials"),
        (GRID, {"methods": LORA}, "methods.lora.rank", "a design searches nothing"),
        (GRID, {"methods": [{"name": "lora"}] * 2}, "methods.1.name", "stands twice"),
        (GRID, {"methods": None}, "methods", "give one"),
        (GRID, {"train": {"learning_rate": {"choice": [1, 2]}}}, "train.learning_rate", "searched"),
        ([], {}, "design", "give its kind (grid, one_factor, factorial, paired, replicate)"),
        ({}, {}, "design.kind", "is missing"),
        ({"kind": "gird"}, {}, "design.kind", "did you mean 'grid'"),
        ({**GRID, "sedes": 3}, {}, "design.sedes", "did you mean 'seeds'"),
        (
            {"kind": "grid", "factors": {"train": {"learning_rate": RATES, "weight_decay": RATES}}},
            {},
            "design.factors",
            "have 160,000 combinations; a sweep has at most 100,000 trials",
        ),
        (
            {**GRID, "seeds": 1000, "factors": {"train": {"learning_rate": RATES}}},
            {},
            "design",
            "has 800 configurations × 1000 seeds, which are 800,000 trials",
        ),
        ({**GRID, "control": "no"}, {}, "design.control", "allowed: added, none"),
        (
            {"kind": "grid", "factors": {"method": {"group_size": [1, 99]}}},
            {},
            "design.group_size=99.method.group_size",
            "30 layers",
        ),
        (
            {"kind": "grid", "factors": {"method": {"rank": [1, 2]}}},
            {"budget": {"match": "lora", "rank": 4}},
            "design.rank=1.method.rank",
            "the budget sets it",
        ),
    ],
)
def test_what_is_no_design_is_told(design_of, design, changes, path, message):
    found = problems_of_loading(design_of, design, **changes)
    assert path in found, found
    assert message in found[path]


def test_a_control_arm_of_another_size_is_told(design_of):
    methods = [{"name": "masa", "rank": 8}, {"name": "masa_control", "rank": 16}]
    found = problems_of_loading(design_of, {"kind": "paired"}, methods=methods)
    assert "rank is 16 and that of masa is 8" in found["methods.masa_control"]
