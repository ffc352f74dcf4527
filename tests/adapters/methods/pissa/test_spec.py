"""The size of PiSSA, as published, and what of a spec cannot be."""

import pytest
from pydantic import ValidationError

from sweeper_adapters.methods import PissaSpec
from tests.adapters.shapes import LLAMA3_8B, TINY, published


def test_it_trains_what_lora_does():
    assert f"{published(LLAMA3_8B, PissaSpec(rank=16)):.4f}" == "0.5196"


def test_problems_say_what_to_do():
    [(field, message)] = PissaSpec(rank=17).problems(TINY)
    assert field == "rank"
    assert "give a rank of 1 to 16 or leave k_proj out of targets" in message


def test_values_out_of_range_are_refused():
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        PissaSpec(iterations=0)
