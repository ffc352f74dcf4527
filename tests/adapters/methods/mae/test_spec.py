"""MAE: MASA's tuner in which each layer has its own."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from sweeper_adapters.methods import MaeSpec, MasaSpec
from sweeper_adapters.methods.masa.training import CollapsedTraining
from tests.adapters.masa_layers import adapted, layers_of, part
from tests.adapters.shapes import LLAMA3_8B, TINY, published

# The same products in float32, in another order.
TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


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


def test_the_published_count():
    # MASA, Table 3.
    assert f"{published(LLAMA3_8B, MaeSpec(router='softmax')):.4f}" == "0.8280"


def test_a_rank_that_no_matrix_can_have_is_named():
    [(field, message)] = MaeSpec(rank=17).problems(TINY)
    assert field == "rank"
    assert "rank is 17 but k_proj is 32 -> 16" in message
