"""HydraLoRA and MAE: MASA's tuner with other values."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import get_peft_model
from torch import nn
from torch.testing import assert_close

from sweeper_adapters import MasaLinear
from sweeper_adapters.masa_training import CollapsedTraining
from sweeper_adapters.methods import HydraLoraSpec, MaeSpec, MasaSpec
from tests.adapters.small import randomised
from tests.adapters.test_methods import LLAMA3_8B, LLAMA32_3B, TINY, published

# The same products in float32, in another order.
TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


class Net(nn.Module):
    """Three layers of one type, named as in a decoder."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleDict({"q_proj": nn.Linear(6, 5)}) for _ in range(3))

    def forward(self, x):
        return torch.stack([layer.get_submodule("q_proj")(x) for layer in self.layers])


def adapted(spec):
    config = spec.peft_config()
    config.task_type = None
    return randomised(get_peft_model(Net(), config))


def layers_of(model):
    return [module for module in model.modules() if isinstance(module, MasaLinear)]


def part(layer, side):
    return getattr(layer, f"masa_{side}")["default"].weight


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


@pytest.mark.parametrize("router", ["none", "softmax"])
def test_mae_is_masa_in_which_each_layer_has_its_own(router):
    spec = MaeSpec(rank=2, alpha=7, experts=3, router=router, targets=("q_proj",))
    model = adapted(spec)
    x = torch.randn(4, 6)
    found = model(x)
    for number, layer in enumerate(layers_of(model)):
        a, [b] = part(layer, "A"), part(layer, "B")
        p = torch.ones(4, 3)
        if router == "softmax":
            p = F.softmax(x @ part(layer, "router").T, dim=-1)
        expected = layer.base_layer(x)
        for i in range(3):
            expected = expected + 7 / 2 * p[:, i : i + 1] * (x @ a[i].T @ b.T)
        assert_close(found[number], expected, **TOLERANCE)
    for side in ("A", "B"):
        assert len({id(part(layer, side)) for layer in layers_of(model)}) == 3


@pytest.mark.parametrize("router", ["none", "softmax"])
def test_mae_promises_what_masa_does(router, llama):
    mae, masa = MaeSpec(rank=2, router=router), MasaSpec(rank=2, router=router)
    assert mae.is_mergeable == masa.is_mergeable == (router == "none")
    assert mae.exports_lora == masa.exports_lora == (router == "none")
    training = mae.training(mae.inject(llama(), seed=0), steps=1)
    assert isinstance(training, CollapsedTraining) == (router == "none")
    plain = mae.model_copy(update={"collapse": False})
    training = plain.training(plain.inject(llama(), seed=0), steps=1)
    assert not isinstance(training, CollapsedTraining)


@pytest.mark.parametrize(
    ("shape", "spec", "percent"),
    [
        (LLAMA3_8B, HydraLoraSpec(), "0.5785"),
        (LLAMA32_3B, HydraLoraSpec(), "0.8267"),
        # MASA, Table 3.
        (LLAMA3_8B, MaeSpec(router="softmax"), "0.8280"),
    ],
)
def test_the_published_counts(shape, spec, percent):
    assert f"{published(shape, spec):.4f}" == percent


@pytest.mark.parametrize("spec", [HydraLoraSpec(rank=17), MaeSpec(rank=17)], ids=["hydra", "mae"])
def test_a_rank_that_no_matrix_can_have_is_named(spec):
    [(field, message)] = spec.problems(TINY)
    assert field == "rank"
    assert "rank is 17 but k_proj is 32 -> 16" in message
