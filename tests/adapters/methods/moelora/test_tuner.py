import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import get_peft_model
from torch import nn
from torch.testing import assert_close

from sweeper_adapters import MoeConfig, MoeLinear
from sweeper_adapters.methods import LoraMoeSpec, MoeLoraSpec
from tests.adapters.shapes import LLAMA3_8B, TINY, published
from tests.adapters.small import gradcheck, randomised

# The same products in float32, in another order.
TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


class Net(nn.Module):
    def __init__(self, in_features=6, out_features=5):
        super().__init__()
        self.first = nn.Linear(in_features, out_features)
        self.last = nn.Linear(out_features, in_features, bias=False)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


def adapted(net, **values):
    config = MoeConfig(target_modules=["first", "last"], **{"r": 2, "num_experts": 3, **values})
    return randomised(get_peft_model(net, config))


def layers_of(model):
    return [module for module in model.modules() if isinstance(module, MoeLinear)]


def matrices(layer):
    down, up = layer.moelora_A["default"], layer.moelora_B["default"]
    return down.weight, up.weight, down.router


def reference(layer, x, *, scale, dropped=None):
    """The layer in loops over tokens and experts."""
    a, b, router = matrices(layer)
    dropped = x if dropped is None else dropped
    rows = []
    for seen, token in zip(dropped.flatten(0, -2), x.flatten(0, -2), strict=True):
        p = F.softmax(router @ token, dim=0)
        row = layer.base_layer(token)
        for i in range(len(a)):
            row = row + scale * p[i] * (b[i] @ (a[i] @ seen))
        rows.append(row)
    return torch.stack(rows).view(*x.shape[:-1], -1)


@pytest.mark.parametrize("experts", [1, 2, 5])
@pytest.mark.parametrize("shape", [(6,), (7, 6), (2, 3, 6), (2, 1, 3, 6)])
def test_is_the_sum_of_weighted_experts(experts, shape):
    model = adapted(Net(), num_experts=experts, alpha=7)
    x = torch.randn(shape)
    first, last = layers_of(model)
    hidden = torch.tanh(reference(first, x.view(-1, 6), scale=7 / 2))
    expected = reference(last, hidden, scale=7 / 2).view(shape)
    assert_close(model(x), expected, **TOLERANCE)


def test_gradients_are_those_of_finite_differences():
    model = adapted(Net(3, 2).double()).double()
    x = torch.randn(2, 3, 3, dtype=torch.float64)
    assert gradcheck(model, x)


def test_dropout_acts_in_training_and_not_on_the_router():
    model = adapted(Net(), dropout=0.5)
    first, _ = layers_of(model)
    x = torch.randn(4, 3, 6)
    model.eval()
    assert_close(first(x), reference(first, x, scale=8), **TOLERANCE)
    model.train()
    seen = []
    first.moelora_A["default"].dropout.register_forward_hook(lambda *args: seen.append(args[2]))
    found = first(x)
    assert (seen[0] == 0).any()
    assert_close(found, reference(first, x, scale=8, dropped=seen[0]), **TOLERANCE)


def test_each_expert_may_have_a_dropout_mask_of_its_own():
    model = adapted(Net(), dropout=0.5, expert_dropout="each").train()
    first, _ = layers_of(model)
    a, b, router = matrices(first)
    seen = []
    first.moelora_A["default"].dropout.register_forward_hook(lambda *args: seen.append(args[2]))
    x = torch.randn(4, 3, 6)
    found = first(x)
    gates = F.softmax(x @ router.T, dim=-1)
    expected = first.base_layer(x)
    for i, masked in enumerate(seen):
        expected = expected + 8 * gates[..., i, None] * (masked @ a[i].T @ b[i].T)
    assert_close(found, expected, **TOLERANCE)
    assert len({tuple((masked == 0).flatten().tolist()) for masked in seen}) == len(seen) == 3
    model.eval()
    assert_close(first(x), reference(first, x, scale=8), **TOLERANCE)


@pytest.mark.parametrize("spec", [MoeLoraSpec, LoraMoeSpec], ids=lambda spec: spec.__name__)
def test_the_masks_are_written_only_where_they_are_not_shared(spec):
    assert "expert_dropout" not in spec().model_dump()
    each = spec(expert_dropout="each")
    assert spec.model_validate(each.model_dump()) == each
    assert each.peft_config().to_dict()["expert_dropout"] == "each"


def test_the_gates_are_taken_in_float32():
    model = adapted(Net()).to(torch.bfloat16)
    first, _ = layers_of(model)
    x = torch.randn(2, 3, 6, dtype=torch.bfloat16)
    _, gates = first.moelora_A["default"](x)
    assert gates.dtype == torch.float32
    assert_close(gates.sum(-1), torch.ones(2, 3), rtol=0, atol=1e-6)
    assert first(x).dtype == torch.bfloat16


def test_initial_values():
    torch.manual_seed(0)
    config = MoeConfig(r=16, num_experts=4, target_modules=["first", "last"])
    first, _ = layers_of(get_peft_model(Net(64, 32), config))
    a, b, router = matrices(first)
    assert a.shape == (4, 16, 64)
    assert b.shape == (4, 32, 16)
    assert router.shape == (4, 64)
    bound = 1 / math.sqrt(64)
    for matrix in (*a, router):
        assert matrix.abs().max() <= bound
        assert matrix.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert b.abs().max() == 0
    assert not torch.equal(a[0], a[1])


def test_layers_of_gpt2(ids):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    base = GPT2LMHeadModel(config).eval()
    before = base(input_ids=ids).logits
    model = get_peft_model(base, MoeConfig(r=2, target_modules=["c_attn", "c_proj"]))
    assert torch.equal(model(input_ids=ids).logits, before)
    assert matrices(layers_of(model)[0])[1].shape == (2, 48, 2)


def test_it_cannot_be_merged():
    model = adapted(Net())
    with pytest.raises(ValueError, match=r"'default' has a router.*run the model unmerged"):
        model.merge_and_unload()
    assert not layers_of(model)[0].supports_lora_conversion()
    with pytest.raises(ValueError, match="is not a LoRA"):
        layers_of(model)[0].lora_factors("default")
    assert not MoeLoraSpec().is_mergeable
    assert not MoeLoraSpec().exports_lora


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "moelora: r is 0; allowed is 1 or more; change r"),
        ({"num_experts": 0}, "num_experts is 0"),
        ({"dropout": 1.0}, "dropout is 1.0; allowed is 0 to below 1"),
        ({"expert_dropout": "all"}, "expert_dropout is 'all'; allowed is one of shared, each"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        MoeConfig(**values)


def test_the_published_count():
    assert f"{published(LLAMA3_8B, MoeLoraSpec(experts=2, rank=8)):.4f}" == "0.5503"
    assert LoraMoeSpec(experts=2).count(LLAMA3_8B) == MoeLoraSpec(experts=2).count(LLAMA3_8B)
    assert [f for f, _ in MoeLoraSpec(rank=17).problems(TINY)] == ["rank"]


def test_defaults_are_the_same_as_those_of_the_config():
    config = MoeConfig(target_modules=list(MoeLoraSpec().targets), task_type="CAUSAL_LM")
    assert MoeLoraSpec().peft_config().to_dict() == config.to_dict()
