"""QLoRA: weights of four bits, and what is said where there are none."""

import re
from importlib.util import find_spec
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sweeper.models.snapshot import ModelSnapshot
from sweeper_adapters.methods import EngineFacts, QloraSpec
from sweeper_adapters.methods.qlora import quantisation
from sweeper_adapters.methods.qlora import spec as qlora
from sweeper_adapters.methods.qlora.quantisation import BLOCK, quantise
from tests.adapters.passes import logits, train, trained

needs_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)
# The same products in another order, of values that are no larger than 1.
ROUNDING = 1e-6


def test_without_bitsandbytes_qlora_is_refused_before_anything_starts(monkeypatch, llama):
    for module in (qlora, quantisation):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    facts = EngineFacts(zero_stage=0, workers=1, precision="fp32", has_gpu=True, batch_size=2)
    [(field, message)] = QloraSpec().engine_problems(facts)
    assert field == "name"
    assert re.search(r"needs bitsandbytes, .* not installed .* every machine .*; install", message)
    with pytest.raises(ValueError, match=r"bitsandbytes is not installed .*\[quantization\]"):
        QloraSpec().inject(llama(), seed=0)


def check_rounding(layer, original, *, kind):
    """Each weight is the nearest of 16 values, of which the largest of a block is the last."""
    found = layer(torch.eye(layer.in_features, dtype=original.dtype)).T.float()
    flat = original.flatten().float()
    blocks = nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    largest = blocks.abs().amax(dim=1).repeat_interleave(BLOCK)[: len(flat)]
    # Half of the widest gap between two values (the QLoRA paper, appendix E; bitsandbytes' FP4),
    # and what the 8 bits of a bfloat16 and of the scales leave.
    widest = {"nf4": (1 - 0.6962) / 2, "fp4": (1 - 2 / 3) / 2}[kind]
    assert ((found.flatten() - flat).abs() <= (widest + 0.01) * largest).all()


class OneLayer(nn.Module):
    def __init__(self, out_features, in_features):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def get_output_embeddings(self):
        return None


@needs_bitsandbytes
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("size", [(64, 128), (7, 9), (128, 344), (3, 100), (33, 48)], ids=str)
def test_weights_of_any_width_are_rounded(size, dtype):
    model = OneLayer(*size).to(dtype)
    weight, bias = model.linear.weight.detach().clone(), model.linear.bias
    quantise(cast("Any", model), kind="nf4", double=True)
    assert model.linear.bias is bias
    bias.data.zero_()
    check_rounding(model.linear, weight, kind="nf4")


@needs_bitsandbytes
@pytest.mark.parametrize("is_double", [False, True])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_it_computes_with_weights_of_four_bits(kind, is_double, llama, ids):
    from bitsandbytes.nn import Linear4bit

    spec = QloraSpec(rank=3, quantisation=kind, double_quantisation=is_double, targets=("q_proj",))
    base = llama()
    spec.prepare_base(base)
    rounded = llama()
    layers = {n: layer for n, layer in base.named_modules() if isinstance(layer, Linear4bit)}
    assert len(layers) == 5 * 7
    assert type(base.get_output_embeddings()) is nn.Linear
    for name, layer in layers.items():
        assert layer.weight.numel() * 2 == layer.in_features * layer.out_features
        assert layer.weight.quant_state.nested == is_double
        original = rounded.get_submodule(name).weight
        check_rounding(layer, original.data, kind=kind)
        original.data = layer(torch.eye(layer.in_features)).T
    assert_close(logits(base, ids), logits(rounded, ids), rtol=0, atol=ROUNDING)


@needs_bitsandbytes
def test_the_memory_is_given_back_and_the_base_is_put_back(llama, ids):
    model = llama()
    before = logits(model, ids)
    weights = [p.detach().clone() for p in model.parameters()]
    layer = model.model.layers[0].mlp.up_proj
    kept = ModelSnapshot(model, copies_weights=True)
    QloraSpec(rank=3).inject(model, seed=0)
    assert layer.weight.numel() == 0
    kept.restore()
    assert model.model.layers[0].mlp.up_proj is layer
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), weights, strict=True))
    assert torch.equal(logits(model, ids), before)


@needs_bitsandbytes
def test_it_trains_after_an_evaluation_as_before(llama, ids):
    model = train(QloraSpec(rank=3).inject(llama(), seed=0))
    gradients = []
    for _ in range(2):
        model.train()
        model.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        gradients.append({name: cast("Any", p.grad) for name, p in trained(model).items()})
        # On some CPUs bitsandbytes would change its weights here.
        logits(model, ids)
    assert_close(gradients[1], gradients[0], rtol=0, atol=0)
    assert all(float(grad.abs().max()) > 0 for grad in gradients[0].values())
