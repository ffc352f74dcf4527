"""HydraLoRA: MASA's tuner with one A and several B."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from sweeper_adapters.methods import HydraLoraSpec
from tests.adapters.masa_layers import adapted, layers_of, part
from tests.adapters.shapes import LLAMA3_8B, LLAMA32_3B, TINY, published

# The same products in float32, in another order.
TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


@pytest.mark.parametrize("experts", [1, 3])
def test_hydralora_weighs_its_b_token_by_token(experts):
    spec = HydraLoraSpec(rank=2, alpha=7, experts=experts, dropout=0.5, targets=("q_proj",))
    model = adapted(spec).train()
    x = torch.randn(4, 3, 6)
    for layer in layers_of(model):
        [a], b, router = part(layer, "A"), part(layer, "B"), part(layer, "router")
        assert b.shape == (experts, 5, 2)
        seen: list[torch.Tensor] = []
        layer.masa_dropout["default"].register_forward_hook(
            lambda *args, seen=seen: seen.append(args[2])
        )
        found = layer(x)
        assert (seen[0] == 0).any()
        for sample in range(4):
            for token in range(3):
                p = F.softmax(router @ x[sample, token], dim=0)
                expected = layer.base_layer(x[sample, token])
                for i in range(experts):
                    expected = expected + 7 / 2 * p[i] * (b[i] @ (a @ seen[0][sample, token]))
                assert_close(found[sample, token], expected, **TOLERANCE)


def test_hydralora_cannot_be_merged_and_shares_nothing():
    spec = HydraLoraSpec(rank=2, targets=("q_proj",))
    model = adapted(spec)
    assert not spec.is_mergeable
    assert not spec.exports_lora
    with pytest.raises(ValueError, match="run the model unmerged"):
        model.merge_adapter()
    for side in ("A", "B", "router"):
        assert len({id(part(layer, side)) for layer in layers_of(model)}) == 3


@pytest.mark.parametrize(("shape", "percent"), [(LLAMA3_8B, "0.5785"), (LLAMA32_3B, "0.8267")])
def test_the_published_counts(shape, percent):
    assert f"{published(shape, HydraLoraSpec()):.4f}" == percent


def test_a_rank_that_no_matrix_can_have_is_named():
    [(field, message)] = HydraLoraSpec(rank=17).problems(TINY)
    assert field == "rank"
    assert "rank is 17 but k_proj is 32 -> 16" in message
