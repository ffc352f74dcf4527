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


def test_each_b_may_have_a_dropout_mask_of_its_own():
    fields: dict[str, Any] = {
        "rank": 2,
        "alpha": 7,
        "experts": 3,
        "dropout": 0.5,
        "targets": ("q_proj",),
    }
    model = adapted(HydraLoraSpec(**fields, expert_dropout="each")).train()
    layer = layers_of(model)[0]
    [a], b, router = part(layer, "A"), part(layer, "B"), part(layer, "router")
    seen: list[torch.Tensor] = []
    layer.masa_dropout["default"].register_forward_hook(lambda *args: seen.append(args[2]))
    x = torch.randn(4, 3, 6)
    found = layer(x)
    gates = F.softmax(x @ router.T, dim=-1)
    expected = layer.base_layer(x)
    for i, masked in enumerate(seen):
        expected = expected + 7 / 2 * gates[..., i, None] * (masked @ a.T @ b[i].T)
    assert_close(found, expected, **TOLERANCE)
    assert len({tuple((masked == 0).flatten().tolist()) for masked in seen}) == len(seen) == 3
    # Without dropout it is what it was.
    shared = adapted(HydraLoraSpec(**fields)).eval()
    shared.load_state_dict(model.state_dict())
    assert torch.equal(model.eval()(x), shared(x))


def test_its_masks_are_written_only_where_they_are_not_shared():
    assert "expert_dropout" not in HydraLoraSpec().model_dump()
    each = HydraLoraSpec(expert_dropout="each")
    assert HydraLoraSpec.model_validate(each.model_dump()) == each
    assert each.peft_config().to_dict()["expert_dropout"] == "each"


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
