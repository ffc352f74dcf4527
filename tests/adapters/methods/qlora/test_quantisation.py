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


def falcon():
    from transformers import FalconConfig, FalconForCausalLM

    config = FalconConfig(vocab_size=64, hidden_size=64, num_hidden_layers=2, num_attention_heads=2)
    torch.manual_seed(3)
    return FalconForCausalLM(config).eval()


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(3)
    return GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=48, n_layer=2, n_head=2)).eval()


@needs_bitsandbytes
@pytest.mark.parametrize(
    ("build", "target", "count"), [(falcon, "query_key_value", 8), (gpt2, "c_attn", 8)]
)
def test_linear_layers_of_other_classes_are_quantised_too(build, target, count, ids, caplog):
    from bitsandbytes.nn import Linear4bit

    whole = build()
    outputs = {name: layer(torch.eye(_width(layer))) for name, layer in _linears(whole).items()}
    caplog.set_level("INFO")
    model = QloraSpec(rank=3, targets=(target,)).inject(build(), seed=0)
    layers = {
        name.removeprefix("base_model.model.").removesuffix(".base_layer"): layer
        for name, layer in model.named_modules()
        if isinstance(layer, Linear4bit)
    }
    assert layers.keys() == outputs.keys()
    assert len(layers) == count
    for name, layer in layers.items():
        difference = layer(torch.eye(layer.in_features)) - outputs[name]
        # What four bits leave of a weight.
        assert difference.abs().max() < 0.2 * outputs[name].abs().max()
    inside = sum(layer.in_features * layer.out_features for layer in layers.values())
    share = inside / sum(p.numel() for p in whole.parameters())
    facts = QloraSpec().training(model, steps=1).facts()
    assert facts == {"quantised_layers": count, "quantised_share": pytest.approx(share)}
    assert f"qlora: {count} layers, {100 * share:.1f} % of all weights" in caplog.text
    # And the adapter is trained on them.
    model(input_ids=ids, labels=ids).loss.backward()
    assert all(p.grad is not None for p in trained(model).values())


def _linears(model) -> dict[str, Any]:
    output = model.get_output_embeddings()
    kinds = {"Linear", "Conv1D", "FalconLinear"}
    return {
        name: layer
        for name, layer in model.named_modules()
        if type(layer).__name__ in kinds and layer is not output
    }


def _width(layer) -> int:
    return layer.nx if hasattr(layer, "nx") else layer.in_features


class Router(nn.Linear):
    """A layer made of nn.Linear that gives another output."""

    def forward(self, x):
        return super().forward(x).softmax(-1)


class Pair(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second
        self.experts = nn.Module()
        self.experts.down_proj = nn.Parameter(torch.ones(2, 4, 4))

    def get_output_embeddings(self):
        return None


@needs_bitsandbytes
def test_what_is_no_linear_layer_is_left_and_named(caplog):
    router = Router(64, 8)
    model = Pair(nn.Linear(64, 64), router)
    quantise(cast("Any", model), kind="nf4", double=True)
    assert model.second is router
    assert type(model.first).__name__ == "Linear4bit"
    [record] = [x for x in caplog.records if x.levelname == "WARNING"]
    assert record.getMessage().endswith("in 4 bit; left as they are: experts.down_proj, second")


@needs_bitsandbytes
def test_a_model_without_linear_layers_is_refused():
    model = Pair(Router(64, 8), nn.Embedding(4, 4))
    with pytest.raises(ValueError, match=r"no layer of a Pair can be .* first; use lora"):
        quantise(cast("Any", model), kind="nf4", double=True)
