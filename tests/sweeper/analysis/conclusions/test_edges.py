"""A best value at an end of its range is said: the best may lie beyond."""

from __future__ import annotations

import pytest

from sweeper.analysis.conclusions import conclusions_of
from sweeper.analysis.conclusions.edges import edges_of
from sweeper.analysis.ranking import rank_sweep
from sweeper.tracking import SweepFolder

DOCUMENT = {
    "name": "s",
    "objective": {"metric": "eval_loss", "mode": "min"},
    "methods": [
        {
            "name": "masa",
            "experts": {"int": [2, 6]},
            "group_size": {"choice": [1, 2, 4]},
            "rank": {"choice": [4, 8]},
            "router": {"choice": ["none", "softmax", "x"]},
            "dropout": {"uniform": [0, 0.2]},
        },
        {"name": "lora", "rank": {"grid": [2, 4, 8]}},
    ],
    "train": {"learning_rate": {"loguniform": [1e-4, 1e-2]}},
}
INSIDE = {"experts": 4, "group_size": 2, "rank": 4, "router": "none", "dropout": 0.1}
MIDDLE = {**INSIDE, "learning_rate": 1e-3}


@pytest.fixture
def folder(tmp_path):
    return SweepFolder.create(tmp_path, "s", document=DOCUMENT)


def said(folder, params, *, method="masa", spec=None):
    number = len(folder.trials())
    spec = {"params": params} if spec is None else spec
    trial = folder.add_trial(
        f"{number:012x}", spec=spec, number=number, method=method, params=params
    )
    trial.begin()
    trial.append(3, {"eval_loss": 1.0 - number, "eval_loss_se": 0.02})
    trial.complete()
    best = rank_sweep(folder).best
    assert best is not None
    return list(edges_of(folder.document, best, lambda: spec))


@pytest.mark.parametrize(
    ("field", "value", "end"),
    [
        ("learning_rate", 9.7e-3, "(0.0097) is at the upper end of its range, 0.0001 to 0.01"),
        ("learning_rate", 1.1e-4, "(0.00011) is at the lower end"),
        ("experts", 6, "(6) is at the upper end of its range, 2 to 6"),
        ("group_size", 1, "(1) is at the lower end of its range, 1 to 4"),
        ("dropout", 0.0, "(0) is at the lower end"),
    ],
)
def test_a_number_at_an_end_is_said(folder, field, value, end):
    (sentence,) = said(folder, {**MIDDLE, field: value})
    assert sentence.startswith(f"The {field} of trial 0 (masa) {end}")
    owner = "train" if field == "learning_rate" else "masa"
    assert sentence.endswith(f"a better one may lie beyond; widen {owner}.{field} there.")
    # It is among what every report says.
    assert sentence in conclusions_of(folder, rank_sweep(folder)).facts


def test_what_is_inside_or_no_range_is_not(folder):
    # Of two values each is an end; words have none.
    assert said(folder, {**MIDDLE, "rank": 8, "router": "x"}) == []
    assert said(folder, {"rank": 8, "learning_rate": 1e-3}, method="lora") != []
    assert said(folder, {"rank": 4, "learning_rate": "fast"}, method="lora") == []


def trained(params, **method):
    """A trial's spec on the embedded model, which has four layers."""
    fields = {key: value for key, value in params.items() if key != "learning_rate"}
    return {
        "model": {"kind": "embedded"},
        "data": {"kind": "embedded"},
        "method": {"name": "masa", **fields, **method},
        "train": {"steps": 8, "learning_rate": params["learning_rate"]},
    }


def test_a_field_that_does_nothing_in_the_trial_has_no_better_value(folder):
    params = {**MIDDLE, "experts": 6, "group_size": 4}
    (sentence,) = said(folder, params, spec=trained(params, sharing="none"))
    assert sentence.startswith("The experts of trial 0 (masa) (6)")


def test_nothing_lies_beyond_what_is_allowed(folder):
    # Groups of more layers than there are, or of none.
    for size in (4, 1):
        params = {**MIDDLE, "group_size": size}
        assert said(folder, params, spec=trained(params)) == []
    params = {**MIDDLE, "dropout": 0.0}
    assert said(folder, params, spec=trained(params)) == []
    params = {**MIDDLE, "dropout": 0.2}
    assert len(said(folder, params, spec=trained(params))) == 1


def test_a_list_of_trials_and_a_design_have_no_ranges(folder):
    said(folder, {**MIDDLE, "experts": 6})
    best = rank_sweep(folder).best
    assert best is not None
    assert list(edges_of({"trials": []}, best, dict)) == []
    assert list(edges_of({"methods": "damaged"}, best, dict)) == []
