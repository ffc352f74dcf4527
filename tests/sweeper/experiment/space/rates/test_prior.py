"""The rate that is expected of a method: its formula, its spread, and the table it is made of."""

from __future__ import annotations

import math

import pytest

from sweeper.experiment.space.rates import RatePrior, packaged_prior, size_of
from sweeper.models.shapes import architecture, shape_of
from sweeper_adapters.methods import LoraSpec, MasaSpec, PromptTuningSpec, QloraSpec

SHAPE = shape_of(architecture("llama3-8b"))
PRIOR = RatePrior.model_validate(
    {
        "tables": [{"model": "made"}],
        "size": 8,
        "width": SHAPE.hidden_size / 4,
        "methods": {"lora": {"log10_rate": -2, "spread": 0.3, "alpha": 16}},
        "others": {"log10_rate": -3, "spread": 0.5},
        "by_size": {"exponent": 0.5, "spread": 0.2},
        "by_alpha": {"exponent": -1, "spread": 0.1},
        "by_width": {"exponent": -0.5, "spread": 0.4},
        "by_model": 0.6,
        "noise": 0.4,
    }
)


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({}, 1e-2 / 2),
        ({"rank": 32}, 1e-2 / 2 * 2),
        ({"alpha": 32}, 1e-2 / 2 / 2),
        ({"rank": 16, "scaling": "sqrt_rank", "alpha": 4}, 1e-2 / 2 * math.sqrt(2)),
    ],
)
def test_the_rate_follows_the_formula(settings, rate):
    found = PRIOR.expected(LoraSpec.model_validate(settings), SHAPE)
    assert found.rate == pytest.approx(float(f"{rate:.2g}"))


def test_the_spread_grows_with_the_distance():
    near = PRIOR.expected(LoraSpec(), SHAPE)
    far = PRIOR.expected(LoraSpec(rank=80, alpha=160), SHAPE)
    width = 0.4 * math.log10(4)
    assert near.spread == pytest.approx(math.sqrt(0.3**2 + 0.4**2 + 0.6**2 + width**2))
    assert far.spread == pytest.approx(math.hypot(near.spread, 0.2, 0.1))
    tables = ({"width": SHAPE.hidden_size},)
    measured = PRIOR.model_copy(update={"tables": tables}).expected(LoraSpec(), SHAPE)
    assert measured.spread == pytest.approx(math.sqrt(near.spread**2 - 0.6**2))
    low, high = near.interval
    assert math.log10(high / low) == pytest.approx(2 * near.spread, abs=0.02)


def test_a_model_that_a_table_is_of_has_what_is_its_own():
    width = float(SHAPE.hidden_size)
    own = [
        {"name": "one", "width": width, "decades": 0.4, "spread": 0.05},
        {"name": "two", "width": width / 2, "decades": -0.4, "spread": 0.05},
    ]
    prior = RatePrior.model_validate({**PRIOR.model_dump(), "models": own})
    before, found = (x.expected(LoraSpec(), SHAPE) for x in (PRIOR, prior))
    assert found.rate == float(f"{before.rate * 10**0.4:.2g}")
    assert found.spread == pytest.approx(math.sqrt(before.spread**2 - 0.6**2 + 0.05**2))
    assert found.why == (
        "0.01, the best of its curves × 0.5 for width 4096 × 2.5 for what is the model's own"
    )
    elsewhere = shape_of(architecture("smollm2-135m"))
    assert prior.expected(LoraSpec(), elsewhere) == PRIOR.expected(LoraSpec(), elsewhere)


def test_it_says_what_the_rate_is_made_of():
    assert PRIOR.expected(LoraSpec(rank=32), SHAPE).why == (
        "0.01, the best of its curves × 2 for size 32 × 0.5 for width 4096"
    )
    assert PRIOR.expected(QloraSpec(), SHAPE).why.startswith("0.01, the best of lora's curves")
    assert "no table has it" in PRIOR.expected(MasaSpec(), SHAPE).why


def test_what_no_table_has_gets_the_mean_of_all():
    found = PRIOR.expected(PromptTuningSpec(), SHAPE)
    assert (found.rate, found.method) == (5e-4, "prompt_tuning")


def test_a_size_is_the_rank_of_the_lora_with_as_many_parameters():
    assert size_of(LoraSpec(rank=5), SHAPE) == 5
    five, one = MasaSpec(rank=8, experts=5), MasaSpec(rank=8, experts=1)
    sizes = [size_of(method, SHAPE) or math.nan for method in (one, five)]
    assert sizes[0] < sizes[1]
    assert size_of(PromptTuningSpec(), SHAPE) is None


def test_rates_stay_within_those_of_a_trial():
    extreme = PRIOR.model_copy(
        update={"others": PRIOR.others.model_copy(update={"log10_rate": 40.0})}
    )
    assert extreme.expected(MasaSpec(), SHAPE).rate == 10


def test_the_packaged_prior_is_of_a_table_that_it_names():
    prior = packaged_prior()
    assert {"lora", "masa", "masa_control", "mosa"} <= prior.methods.keys()
    for value in [*prior.methods.values(), prior.others]:
        assert -6 < value.log10_rate < 0
        assert 0 < value.spread < 1
    assert all({"model", "content", "versions", "seeds"} <= table.keys() for table in prior.tables)
