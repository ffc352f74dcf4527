"""MultiLoRA against explicit loops in float64."""

import math
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import nn
from torch.testing import assert_close
from transformers.pytorch_utils import Conv1D

from sweeper_adapters import MultiLoraConfig, MultiLoraLinear
from sweeper_adapters.methods import LoraSpec, MultiLoraSpec
from tests.adapters.shapes import LLAMA3_8B, published
from tests.adapters.small import gradcheck

# The same sums in another order.
EXACT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}

# I, O, rank and number of LoRAs.
SHAPES = [(8, 8, 2, 2), (7, 10, 3, 3), (63, 1, 1, 1), (1, 5, 4, 2)]


def adapted(base, **values):
    """A layer in float64 with a MultiLoRA adapter of random values."""
    config = MultiLoraConfig(target_modules=["0"], **values)
    model = get_peft_model(nn.Sequential(base).double(), config).double()
    [layer] = [module for module in model.modules() if isinstance(module, MultiLoraLinear)]
    nn.init.normal_(layer.get_parameter("multilora_B.default.scales"))
    return layer


def parts(layer):
    ups = layer.multilora_B["default"]
    return layer.multilora_A["default"].weight, ups.weight, ups.scales


@pytest.mark.parametrize(("in_features", "out_features", "rank", "parallel"), SHAPES)
def test_it_is_the_sum_of_scaled_loras(in_features, out_features, rank, parallel):
    layer = adapted(nn.Linear(in_features, out_features), r=rank, parallel=parallel, alpha=7)
    downs, ups, scales = parts(layer)
    assert downs.shape == (parallel, rank, in_features)
    x = torch.randn(3, in_features, dtype=torch.float64)
    expected = layer.base_layer(x)
    delta = torch.zeros(out_features, in_features, dtype=torch.float64)
    for i in range(parallel):
        for row in range(out_features):
            delta[row] += 7 / rank * scales[i, row] * (ups[i, row] @ downs[i])
    assert_close(layer(x), expected + x @ delta.T, **EXACT)
    assert_close(layer.delta("default"), delta, **EXACT)
    down, up = layer.lora_factors("default")
    assert down.shape == (parallel * rank, in_features)
    assert_close(up @ down, delta, **EXACT)


def test_it_adapts_a_conv1d():
    layer = adapted(Conv1D(5, 9), r=2)
    x = torch.randn(4, 9, dtype=torch.float64)
    expected = layer(x)
    layer.merge()
    assert_close(layer(x), expected, **EXACT)


def test_gradients_are_those_of_finite_differences():
    layer = adapted(nn.Linear(4, 3), r=2, parallel=2)
    assert sum(p.requires_grad for p in layer.parameters()) == 3
    x = torch.randn(2, 4, dtype=torch.float64)
    assert gradcheck(layer, x)


def test_the_scales_alone_move_at_first(llama, ids):
    model = MultiLoraSpec(rank=4, parallel=3).inject(llama(), seed=0)
    layers = [module for module in model.modules() if isinstance(module, MultiLoraLinear)]
    model(input_ids=ids, labels=ids).loss.backward()
    for layer in layers:
        downs, ups, scales = parts(layer)
        assert scales.count_nonzero() == 0
        assert scales.grad.abs().min() > 0
        assert downs.grad.count_nonzero() == ups.grad.count_nonzero() == 0
        # kaiming_uniform_(a=√5) of a matrix is uniform within ±1/√columns.
        for weight in (downs, ups):
            bound = 1 / math.sqrt(weight.shape[-1])
            assert weight.abs().max() <= bound
            assert weight.abs().amax((1, 2)).min() > 0.7 * bound
            assert float(weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.15)
        assert not torch.equal(downs[0], downs[1])


def test_dropout_is_of_the_adapter_alone():
    layer = adapted(nn.Linear(6, 5), r=2, dropout=0.5)
    x = torch.randn(50, 6, dtype=torch.float64)
    layer.train()
    torch.manual_seed(1)
    found = layer(x)
    torch.manual_seed(1)
    dropped = nn.functional.dropout(x, 0.5)
    assert_close(found, layer.base_layer(x) + dropped @ layer.delta("default").T, **EXACT)
    assert not torch.equal(dropped, x)


def test_published_figures_leave_the_scales_out():
    spec = MultiLoraSpec()
    scales = 32 * 2 * sum(x.out_features for x in LLAMA3_8B.linears)
    counted = spec.count(LLAMA3_8B)
    assert counted - scales == LoraSpec(rank=16).count(LLAMA3_8B)
    assert f"{published(LLAMA3_8B, LoraSpec(rank=16)):.4f}" == "0.5196"
    assert f"{published(LLAMA3_8B, spec):.4f}" == "0.5535"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "multilora: r is 0; allowed is 1 or more; change r"),
        ({"parallel": 0}, "multilora: parallel is 0; allowed is 1 or more; change parallel"),
        ({"dropout": 1.0}, "multilora: dropout is 1.0; allowed is 0 to below 1; change dropout"),
    ],
)
def test_values_out_of_range_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        MultiLoraConfig(**values)
