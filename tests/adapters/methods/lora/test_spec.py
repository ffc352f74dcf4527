"""The size of LoRA, as published."""

import pytest

from sweeper_adapters.methods import LoraSpec, MosaSpec
from tests.adapters.shapes import LLAMA3_8B, LLAMA32_3B, published


@pytest.mark.parametrize(
    ("shape", "spec", "percent"),
    [
        # MASA, Tables 1 and 2, and appendix B.
        (LLAMA3_8B, LoraSpec(rank=8), "0.2605"),
        (LLAMA3_8B, LoraSpec(rank=16), "0.5196"),
        (LLAMA32_3B, LoraSpec(rank=8), "0.3770"),
        (LLAMA32_3B, LoraSpec(rank=16), "0.7511"),
        # MoSA, Table 3.
        (LLAMA3_8B, LoraSpec(rank=32, targets=MosaSpec().targets), "0.7002"),
    ],
)
def test_published_percentages(shape, spec, percent):
    assert f"{published(shape, spec):.4f}" == percent
