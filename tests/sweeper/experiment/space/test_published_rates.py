"""Learning rates that leave what is published for a model of a size."""

from __future__ import annotations

import logging

import pytest

from sweeper.experiment.loading import load_sweep
from sweeper.experiment.space.published_rates import published_rates, usual_rate, warn_of_rates
from tests.places import SPACES


def warnings_of(space: str, profile: str, *overrides: str) -> list[str]:
    sweep = load_sweep(SPACES / f"{space}.yaml", profile=profile, overrides=overrides)
    return list(warn_of_rates(sweep.space))


def test_the_ranges_of_a_small_model_are_warned_of_on_a_large_one(caplog):
    absolute = "train.learning_rate={loguniform: [1e-4, 3e-2]}"
    with caplog.at_level(logging.WARNING):
        (said,) = warnings_of("masa", "llama3-8b", absolute)
    assert "are 0.0001 to 0.03, which is more than 10 times above" in said
    assert "5 to 20 billion parameters, 5e-06 to 0.001" in said
    # Whoever loads it is told, plan and run alike.
    assert said in caplog.text
    (said,) = warnings_of("compare", "llama3-8b")
    assert "in a design design.rates" in said


def test_what_is_far_below_is_warned_of_too():
    (said,) = warnings_of("masa", "llama3-8b", "train.learning_rate={choice: [1e-8, 1e-4]}")
    assert "more than 30 times below" in said
    assert "above" not in said
    (said,) = warnings_of("masa", "llama3-8b", "train.learning_rate=2.0")
    assert said.startswith("the learning rates are 2, which")


@pytest.mark.parametrize("space", ["masa", "mosa", "shootout"])
@pytest.mark.parametrize("profile", ["embedded", "smollm2", "llama3-8b", "llama2-7b"])
def test_the_packaged_spaces_stay_near_it(space, profile):
    assert warnings_of(space, profile) == []


def test_of_small_models_nothing_is_published():
    assert published_rates(99_999_999) is None
    assert warnings_of("masa", "embedded", "train.learning_rate=5.0") == []
    sizes = (135e6, 3.2e9, 8e9, 70e9)
    found = [published_rates(int(size)) for size in sizes]
    assert len({x.size for x in found if x}) == len(sizes)
    assert all(x is not None and x.low < x.high for x in found)


def test_the_usual_rate_falls_with_the_width():
    assert (usual_rate(4096), usual_rate(128)) == (2.9e-4, 4.3e-3)
