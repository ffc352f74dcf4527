"""DoRA in PEFT is the paper's; its size as published."""

import pytest
from torch.testing import assert_close

from sweeper_adapters.methods import DoraSpec
from tests.adapters.passes import merged
from tests.adapters.shapes import LLAMA3_8B, LLAMA32_3B, TINY, published

# Of weights that are no larger than 1.
ROUNDING = 1e-6


def test_dora_gives_the_rows_their_lengths(llama):
    spec = DoraSpec(rank=3, alpha=6)
    name = "model.layers.1.self_attn.k_proj"
    found, layer = merged(spec, llama, name)
    a, b = layer.lora_A["default"].weight.double(), layer.lora_B["default"].weight.double()
    lengths = layer.lora_magnitude_vector["default"].weight.double()
    weight = llama().get_submodule(name).weight.double() + 2 * b @ a
    expected = lengths[:, None] * weight / weight.norm(dim=1, keepdim=True)
    assert_close(found.double(), expected, rtol=0, atol=ROUNDING)


# MASA, Tables 1 and 7.
@pytest.mark.parametrize(("shape", "percent"), [(LLAMA3_8B, "0.5366"), (LLAMA32_3B, "0.7748")])
def test_published_percentages(shape, percent):
    assert f"{published(shape, DoraSpec(rank=16)):.4f}" == percent


def test_problems_say_what_to_do():
    [(field, message)] = DoraSpec(rank=17).problems(TINY)
    assert field == "rank"
    assert "rank is 17 but k_proj is 32 -> 16; its rank is at most 16" in message
