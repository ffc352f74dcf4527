"""The size of QLoRA, as published."""

from sweeper_adapters.methods import QloraSpec
from tests.adapters.shapes import LLAMA3_8B, published


def test_it_trains_what_lora_does():
    assert f"{published(LLAMA3_8B, QloraSpec(rank=16)):.4f}" == "0.5196"
