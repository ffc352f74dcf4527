"""What methods of PEFT do in training and when they are saved."""

import json
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.vblora.layer import Linear as VBLoRALinear
from safetensors.torch import load_file
from torch.testing import assert_close

from sweeper_adapters.methods import (
    DoraSpec,
    HiraSpec,
    PissaSpec,
    PromptTuningSpec,
    PTuningSpec,
    VbloraSpec,
)
from tests.adapters.contract import logits, train, trained

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
LOW_MEMORY = pytest.mark.parametrize("is_low", [False, True], ids=["", "low_cpu_mem_usage"])

# The same products in another order; and bfloat16 has 8 bits of precision, through five layers.
FORM = {torch.float32: 1e-6, torch.bfloat16: 0.03}
# Of weights that are no larger than 1.
ROUNDING = 1e-6
# Sixteen iterations on random weights, whose singular values are close to each other.
FAST = 1.02

OTHER_FORMS = {
    "pissa": PissaSpec(rank=4),
    "pissa-exact": PissaSpec(rank=3, iterations=None, targets=("k_proj", "down_proj")),
    "vblora": VbloraSpec(rank=2, vectors=6, vector_length=8, top_k=3, saves_top_k=True),
    "vblora-one": VbloraSpec(rank=2, vectors=6, vector_length=16, top_k=1, saves_top_k=True),
    "prompt_tuning": PromptTuningSpec(virtual_tokens=3),
    "p_tuning": PTuningSpec(virtual_tokens=3, encoder_size=5),
    "p_tuning-lstm": PTuningSpec(virtual_tokens=3, encoder="lstm", encoder_size=5),
}


def finished(spec, llama, dtype, folder):
    """Trains a little and saves as a trial does; returns the model, its hooks, and the tensors."""
    model = spec.inject(llama(dtype), seed=0)
    hooks = spec.training(model, steps=4)
    train(model)
    with hooks.finished():
        model.save_pretrained(folder)
    return model, hooks, load_file(folder / "adapter_model.safetensors")


@pytest.mark.parametrize("spec", OTHER_FORMS.values(), ids=OTHER_FORMS)
@DTYPES
@LOW_MEMORY
def test_what_is_saved_in_another_form_does_the_same(spec, dtype, is_low, llama, ids, tmp_path):
    model, hooks, tensors = finished(spec, llama, dtype, tmp_path)
    expected = logits(model, ids).float()
    loaded = PeftModel.from_pretrained(llama(dtype), tmp_path, low_cpu_mem_usage=is_low)
    found = logits(loaded, ids).float()
    limit = FORM[dtype] * float(expected.abs().max())
    assert (found - expected).abs().max() <= limit
    assert (expected - logits(llama(dtype), ids).float()).abs().max() > 10 * FORM[torch.float32]
    # And what is trained goes on as it was.
    assert torch.equal(logits(model, ids).float(), expected)
    assert trained(model)
    with hooks.finished():
        model.save_pretrained(tmp_path / "again")
    again = load_file(tmp_path / "again" / "adapter_model.safetensors")
    assert_close(again, tensors, rtol=0, atol=0)


# PiSSA.


@pytest.mark.parametrize("spec", [OTHER_FORMS["pissa"], OTHER_FORMS["pissa-exact"]], ids=repr)
def test_pissa_splits_the_weights_and_is_saved_as_a_lora(spec, llama, shape, tmp_path):
    originals = dict(llama().named_modules())
    model = spec.inject(llama(), seed=0)
    scale = spec.alpha / spec.rank
    layers: dict[str, Any] = {
        name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)
    }
    assert len(layers) == 5 * len(spec.targets)
    for name, layer in layers.items():
        original = originals[name.removeprefix("base_model.model.")].weight
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        assert_close(layer.base_layer.weight + scale * b @ a, original, rtol=0, atol=ROUNDING)
        # The principal part: no other of this rank leaves less, but by the fast decomposition.
        left = layer.base_layer.weight.norm() / torch.linalg.svdvals(original)[spec.rank :].norm()
        assert 1 - ROUNDING < left < (FAST if spec.iterations else 1 + ROUNDING)
    hooks = spec.training(model, steps=4)
    train(model)
    with hooks.finished():
        model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["peft_type"], config["init_lora_weights"]) == ("LORA", True)
    assert (config["r"], config["lora_alpha"]) == (2 * spec.rank, 2 * spec.alpha)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(x.numel() for x in tensors.values()) == hooks.file_elements(spec.count(shape))


# VB-LoRA.


def test_vblora_trains_its_logits_faster_than_its_bank(llama):
    spec = VbloraSpec(rank=2, vectors=6, vector_length=16, logits_learning_rate=7)
    model = spec.inject(llama(), seed=0)
    bank, logits_ = spec.training(model, steps=4).groups()
    assert (bank.learning_rate, logits_.learning_rate) == (1, 7)
    assert [tuple(p.shape) for p in bank.parameters] == [(6, 16)]
    assert {p.shape[-1] for p in logits_.parameters} == {6}
    assert len(bank.parameters) + len(logits_.parameters) == len(trained(model))


def test_a_piece_of_vblora_is_a_mean_of_the_vectors_with_the_largest_logits(llama):
    spec = VbloraSpec(rank=2, vectors=6, vector_length=8, top_k=3)
    model = train(spec.inject(llama(), seed=0))
    layers = (m for m in model.modules() if isinstance(m, VBLoRALinear))
    layer = next(layer for layer in layers if layer.out_features == 16)
    bank = layer.vblora_vector_bank["default"].detach()

    def piece(weights):
        chosen = sorted(range(6), key=lambda i: float(weights[i]))[-3:]
        total = sum(weights[i].exp() for i in chosen)
        return sum(weights[i].exp() / total * bank[i] for i in chosen)

    on_a = layer.vblora_logits_A["default"].detach()
    on_b = layer.vblora_logits_B["default"].detach()
    a = torch.stack([torch.cat([piece(x) for x in row]) for row in on_a])
    b = torch.stack([torch.cat([piece(on_b[i, r]) for i in range(2)]) for r in range(2)], dim=1)
    assert_close(layer.get_delta_weight("default"), b @ a, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("top_k", [1, 3])
def test_the_small_file_of_vblora_holds_what_is_chosen(top_k, llama, tmp_path):
    spec = VbloraSpec(rank=2, vectors=6, vector_length=8, top_k=top_k, saves_top_k=True)
    _, _, tensors = finished(spec, llama, torch.float32, tmp_path)
    kinds = {name.rpartition("_topk_")[2]: x for name, x in tensors.items() if "_topk_" in name}
    assert kinds["indices"].dtype == torch.uint8
    assert kinds["weights"].shape[-1] == top_k - 1
    assert not any("logits" in name and "_topk_" not in name for name in tensors)


# DoRA and HiRA.


def merged(spec, llama, name):
    """A layer's weight with the update in it, and the adapted layer."""
    model = train(spec.inject(llama(), seed=0))
    layer = model.get_submodule(f"base_model.model.{name}")
    inputs = torch.eye(layer.in_features)
    with torch.no_grad():
        return layer(inputs).T, layer


def test_dora_gives_the_rows_their_lengths(llama):
    spec = DoraSpec(rank=3, alpha=6)
    name = "model.layers.1.self_attn.k_proj"
    found, layer = merged(spec, llama, name)
    a, b = layer.lora_A["default"].weight.double(), layer.lora_B["default"].weight.double()
    lengths = layer.lora_magnitude_vector["default"].weight.double()
    weight = llama().get_submodule(name).weight.double() + 2 * b @ a
    expected = lengths[:, None] * weight / weight.norm(dim=1, keepdim=True)
    assert_close(found.double(), expected, rtol=0, atol=ROUNDING)


def test_hira_scales_each_weight(llama):
    name = "model.layers.1.mlp.down_proj"
    found, layer = merged(HiraSpec(rank=3), llama, name)
    weight = llama().get_submodule(name).weight.double()
    update = layer.hira_B["default"].double() @ layer.hira_A["default"].double()
    assert_close(found.double(), weight + weight * update, rtol=0, atol=ROUNDING)


# Prompts.


@pytest.mark.parametrize("spec", [PromptTuningSpec(virtual_tokens=3), OTHER_FORMS["p_tuning"]])
def test_prompts_stand_before_the_text_and_are_saved_alone(spec, llama, ids, tmp_path):
    model, hooks, tensors = finished(spec, llama, torch.float32, tmp_path)
    assert hooks.virtual_tokens == 3
    assert {name: tuple(x.shape) for name, x in tensors.items()} == {"prompt_embeddings": (3, 32)}
    base = llama()
    embedded = base.get_input_embeddings()(ids)
    prompts = tensors["prompt_embeddings"].expand(len(ids), -1, -1)
    with torch.no_grad():
        expected = base(inputs_embeds=torch.cat([prompts, embedded], dim=1)).logits
        assert_close(model(input_ids=ids).logits, expected, rtol=0, atol=ROUNDING)


def test_prompts_of_the_vocabulary_are_rows_of_the_embedding(llama):
    spec = PromptTuningSpec(virtual_tokens=4, start="vocabulary")
    [prompts] = trained(spec.inject(llama(), seed=3)).values()
    rows = llama().get_input_embeddings().weight
    assert all((rows == prompt).all(dim=1).any() for prompt in prompts)
