"""Whether methods multiply their updates by one number."""

import pytest
from pydantic import TypeAdapter

from sweeper.experiment.space.scales import shared_scale
from sweeper_adapters.methods import Method

_METHODS: TypeAdapter[Method] = TypeAdapter(Method)


def found(*entries):
    methods = [_METHODS.validate_python(entry) for entry in entries]
    return shared_scale([(method.label, method) for method in methods])


def lora(rank, alpha, **fields):
    return {"name": "lora", "rank": rank, "alpha": alpha, **fields}


DORA = {"name": "dora", "rank": 8, "alpha": 16}


def test_one_scale_is_one_whatever_the_rank():
    one = found(lora(4, 8), DORA)
    assert (one.holds, one.names, one.text) == (True, (), "alpha / rank 2 for all")


def test_a_method_without_an_alpha_is_named_and_differs_from_nobody():
    one = found(lora(4, 8), {"name": "mosa"})
    assert (one.holds, one.names) == (True, ())
    assert one.text == "alpha / rank 2 for all that have one; mosa has none"
    assert found({"name": "mosa"}) is None


def test_those_that_have_another_scale_than_most_are_named():
    one = found(lora(4, 16), DORA, {"name": "hydralora", "rank": 8, "alpha": 16})
    assert (one.holds, one.names) == (False, ("lora",))
    assert one.text == "alpha / rank differs: lora 4, dora 2, hydralora 2"


def test_a_method_that_has_several_scales_is_unlike_itself():
    one = found(lora(4, 8), lora(8, 8), DORA)
    assert (one.holds, one.names) == (False, ("lora",))
    assert "lora 1 and 2" in one.text
    assert "lora 1 to 4" in found(lora(4, 8), lora(4, 16), lora(8, 8), DORA).text


@pytest.mark.parametrize(
    "rooted",
    [
        lora(4, 8, scaling="sqrt_rank"),
        {"name": "peft", "type": "lora", "r": 4, "lora_alpha": 8, "use_rslora": True},
    ],
    ids=lambda entry: entry["name"],
)
def test_the_root_of_the_rank_is_another_divisor(rooted):
    method = _METHODS.validate_python(rooted)
    assert method.update_scale() == pytest.approx(4.0)
    one = found(rooted, DORA)
    assert not one.holds
    assert one.text.startswith("alpha / rank, or alpha / sqrt(rank) where a method asks for it, d")


def test_a_rounded_alpha_is_no_difference():
    assert found(lora(7, 14.00001), DORA).holds
