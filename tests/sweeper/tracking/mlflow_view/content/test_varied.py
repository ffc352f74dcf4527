"""Parameters are what a sweep varies, and every trial has each of them."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.experiment.loading import load_sweep
from sweeper.experiment.trial import TrainSpec
from sweeper.search.draws import draw_all
from sweeper.tracking.mlflow_view.content import trial_params, varied_in
from sweeper_adapters.methods import LoraSpec
from tests.places import ROOT
from tests.sweeper.designs import LORA, MASA, MOSA, sweep_of

RATE = {"loguniform": [1e-4, 1e-2]}


def params_of(sweep):
    """The parameters of all trials, as their runs have them."""
    varied = varied_in(sweep.document)
    found = [trial_params(drawn.spec.model_dump(mode="json"), varied) for drawn in draw_all(sweep)]
    # A run that lacks a parameter is drawn at a value that it has not.
    assert len({tuple(params) for params in found}) == 1
    return found


def test_of_a_search_it_is_what_is_searched():
    document: dict[str, Any] = {
        "methods": [
            {"name": "masa", "rank": 8, "experts": {"int": [2, 6]}},
            {"name": "lora", "rank": {"choice": [8, 16]}},
        ],
        "train": {"learning_rate": RATE, "steps": 8},
    }
    varied = varied_in(document)
    masa: dict[str, Any] = {"method": {"name": "masa", "rank": 8, "experts": 3, "alpha": 16.0}}
    lora: dict[str, Any] = {"method": {"name": "lora", "rank": 16, "alpha": 16.0}}
    train: dict[str, Any] = {"train": {"learning_rate": 0.002, "steps": 8}}
    assert trial_params({**masa, **train}, varied) == {
        "method": "masa",
        "experts": "3",
        "learning_rate": "0.002",
        "rank": "8",
    }
    # LoRA has no experts: it is said, not drawn beside the largest number of them.
    assert trial_params({**lora, **train}, varied)["experts"] == "n/a"


def test_one_method_alone_is_no_parameter():
    document: dict[str, Any] = {"methods": [{"name": "masa", "rank": {"choice": [4, 8]}}]}
    assert varied_in(document).paths == (("method", "rank"),)


@pytest.mark.parametrize(
    ("design", "names"),
    [
        (
            {"kind": "paired", "seeds": 2, "rates": {"low": 1e-3, "high": 1e-2, "count": 4}},
            {"method", "learning_rate", "seed"},
        ),
        ({"kind": "paired", "seeds": 1, "tune": None}, {"method"}),
        (
            {"kind": "grid", "seeds": 2, "factors": {"method": {"experts": [2, 4]}}},
            {"method", "experts", "seed"},
        ),
    ],
)
def test_of_a_design_it_is_its_factors(design, names):
    methods = (LORA, MOSA) if design["kind"] == "paired" else (MASA,)
    found = params_of(sweep_of(design, methods))
    assert set(found[0]) == names


def test_of_a_list_it_is_what_its_trials_set():
    document: dict[str, Any] = {
        "trials": [
            {"name": "a", "method": {**LORA, "alpha": 16}, "train": {"learning_rate": 1e-3}},
            {"name": "b", "method": {**LORA, "alpha": 32}, "train": {"learning_rate": 1e-3}},
            {"name": "c", "method": {**MASA, "experts": 5}},
        ]
    }
    assert {".".join(path) for path in varied_in(document).paths} == {
        "method.name",
        "method.alpha",
        "method.experts",
        "train.learning_rate",
    }


def test_a_searched_field_at_its_default_has_its_value():
    document: dict[str, Any] = {
        "methods": [{"name": "lora", "scaling": {"choice": ["rank", "sqrt_rank"]}}],
        "train": {"beta2": {"choice": [0.95, 0.999]}, "steps": 8, "learning_rate": 1e-3},
    }
    train = TrainSpec(steps=8, learning_rate=1e-3).model_dump(mode="json")
    method = LoraSpec().model_dump(mode="json")
    assert not {"scaling", "beta2"} & {*train, *method}
    found = trial_params({"method": method, "train": train}, varied_in(document))
    assert found == {"scaling": "rank", "beta2": "0.999"}


def test_a_trial_of_searched_epochs_has_the_steps_that_they_come_to():
    train: dict[str, Any] = {"epochs": {"choice": [1, 2]}, "epoch_rows": 64}
    document: dict[str, Any] = {"methods": [{"name": "lora"}], "train": train}
    found = trial_params({"train": {"steps": 8, "learning_rate": 1e-3}}, varied_in(document))
    assert found == {"steps": "8"}


def test_two_types_of_peft_are_two_methods():
    entries: list[Any] = [{"name": "peft", "type": kind, "r": 4} for kind in ("VERA", "HIRA")]
    documents: list[dict[str, Any]] = [
        {"methods": entries},
        {"trials": [{"method": entry} for entry in entries]},
    ]
    for document in documents:
        varied = varied_in(document)
        assert varied.paths == (("method", "name"),)
        found = [trial_params({"method": entry}, varied) for entry in entries]
        assert found == [{"method": "peft_vera"}, {"method": "peft_hira"}]


def test_two_fields_of_one_name_keep_their_sections():
    document: dict[str, Any] = {
        "methods": [{"name": "masa", "seed": {"choice": [1, 2]}}],
        "train": {"seed": {"choice": [1, 2]}},
    }
    assert set(varied_in(document).names().values()) == {"method.seed", "train.seed"}


@pytest.mark.parametrize("document", [{}, {"methods": 3}, {"trials": "x"}, {"design": {"kind": 1}}])
def test_nothing_is_found_in_what_cannot_be_read(document):
    assert varied_in(document).paths == ()


def test_every_packaged_space_has_parameters():
    paths = sorted((ROOT / "search_spaces").glob("*.yaml"))
    assert len(paths) > 5
    for path in paths:
        varied = varied_in(load_sweep(path).document)
        assert varied.paths, path
        assert not any(name in {"targets", "kind"} for name in varied.names().values()), path
