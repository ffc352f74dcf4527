"""The size of Prompt Tuning, as published, and what of a spec cannot be."""

from typing import Any

import pytest
from pydantic import ValidationError

from sweeper_adapters.methods import PromptTuningSpec
from tests.adapters.shapes import LLAMA2_7B, LLAMA3_8B, published


# MoSA, Tables 2 and 3.
@pytest.mark.parametrize(("shape", "percent"), [(LLAMA2_7B, "0.0012"), (LLAMA3_8B, "0.0010")])
def test_published_percentages(shape, percent):
    assert f"{published(shape, PromptTuningSpec()):.4f}" == percent


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"targets": ["q_proj"]}, "Extra inputs are not permitted"),
        ({"virtual_tokens": 0}, "greater than or equal to 1"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], message):
    with pytest.raises(ValidationError, match=message):
        PromptTuningSpec(**values)
