"""The design `paired`: methods against each other, each at each rate of one grid."""

from __future__ import annotations

import itertools

import pytest

from sweeper.experiment.design.paired import LARGEST_RATIO, RateGrid
from sweeper.experiment.loading import load_sweep
from sweeper.search.draws import draw_all
from tests.places import SPACES
from tests.sweeper.experiment.spaces import problems_of_loading

SHOOTOUT = SPACES / "shootout.yaml"
TWO = [{"name": "lora", "rank": 4}, {"name": "mosa", "rank": 4}]


def test_rates_are_spaced_evenly_and_never_too_far_apart():
    rates = RateGrid().values()
    ratios = [high / low for low, high in itertools.pairwise(rates)]
    assert (len(rates), rates[0], rates[-1]) == (8, 1e-4, 3e-2)
    # Rounded to three digits, so not all equal to the last one.
    assert max(ratios) == pytest.approx(min(ratios), rel=0.01)
    assert max(ratios) < LARGEST_RATIO


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"low": 1e-5, "high": 1e-1, "count": 8}, r"3\.73 apart.*give a count of 13"),
        ({"low": 1e-2, "high": 1e-3}, r"low must be below high"),
        ({"low": 1e-3, "high": 1.02e-3}, r"not told apart by 3 digits; give a smaller count"),
        ({"low": 1e-3, "high": 1e-2, "count": 3}, r"greater than or equal to 4"),
    ],
)
def test_a_grid_that_would_miss_the_peak_is_refused(rates, message):
    with pytest.raises(ValueError, match=message):
        RateGrid(**rates)


def test_the_shoot_out_gives_every_method_the_same_trials():
    design = load_sweep(SHOOTOUT).design
    assert design is not None
    assert design.tuned is not None
    (factor,) = design.factors
    assert len(factor.levels) == 19
    assert len(design.configurations) == 19 * 8
    assert (design.question, design.seeds) == ("tuned", (0, 1, 2))
    for name in factor.levels:
        own = [x.levels["learning_rate"] for x in design.configurations if x.method == name]
        assert tuple(own) == design.tuned.values


def test_a_few_methods_are_chosen_by_name_and_all_have_one_size():
    chosen = ["masa", "masa_control", "lora", "mosa"]
    sweep = load_sweep(SHOOTOUT, overrides=[f"design.methods=[{','.join(chosen)}]"])
    drawn = draw_all(sweep)
    assert len(drawn) == sweep.spec.search.trials == 4 * 8 * 3
    assert {trial.spec.method.name for trial in drawn} == set(chosen)
    assert {trial.origin for trial in drawn} == {"design"}
    with_arm = load_sweep(SHOOTOUT, overrides=["design.methods=[masa,lora]"]).design
    assert with_arm is not None
    assert with_arm.factors[0].levels == ("masa", "masa_control", "lora")


def test_a_control_arm_that_the_file_has_is_the_one_of_its_method(design_of):
    methods = [{"name": "masa", "rank": 4}, {"name": "lora"}, {"name": "masa_control", "rank": 4}]
    for chosen in (None, ["masa", "lora"], ["masa_control", "masa"]):
        design = design_of({"kind": "paired", "methods": chosen}, methods=methods).design
        controls = {x.method: x.controls for x in design.configurations if x.controls}
        assert controls == {"masa_control": "masa"}
    methods[2] = {"name": "masa_control", "rank": 8}
    two = {"kind": "paired", "methods": ["masa", "lora"]}
    found = problems_of_loading(design_of, two, methods=methods)
    assert "rank is 8 and that of masa is 4" in found["methods.masa_control"]


def test_without_a_tuned_rate_each_method_is_trained_at_the_files(design_of):
    design = design_of({"kind": "paired", "tune": None}, methods=TWO).design
    assert [x.name for x in design.configurations] == ["lora", "mosa"]
    assert (design.question, design.tuned) == ("best", None)


@pytest.mark.parametrize(
    ("changes", "methods", "path", "message"),
    [
        ({}, TWO[:1], "methods", "has no two methods to compare"),
        ({"methods": ["lora"]}, TWO, "design.methods", "has no two methods"),
        ({"methods": ["lora", "msa"]}, TWO, "design.methods", "did you mean 'mosa'"),
        ({"methods": "lora"}, TWO, "design.methods", "got 'lora'; it must be a list; write [lora]"),
        ({"methods": ["lora", "lora"]}, TWO, "design.methods", "name each method once"),
        ({"tune": None, "rates": {}}, TWO, "design.rates", "tune is null"),
        ({"tune": "train.steps"}, TWO, "design.tune", "allowed: train.learning_rate"),
        ({"rates": {"count": 2}}, TWO, "design.rates.count", "got 2"),
    ],
)
def test_what_is_no_pair_is_told(design_of, changes, methods, path, message):
    found = problems_of_loading(design_of, {"kind": "paired", **changes}, methods=methods)
    assert path in found, found
    assert message in found[path]
