"""PiSSA splits the weights and is saved as a LoRA."""

import json
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch.testing import assert_close

from sweeper_adapters.methods import PissaSpec
from tests.adapters.passes import train

# Of weights that are no larger than 1.
ROUNDING = 1e-6
# Sixteen iterations on random weights, whose singular values are close to each other.
FAST = 1.02


@pytest.mark.parametrize(
    "spec",
    [PissaSpec(rank=4), PissaSpec(rank=3, iterations=None, targets=("k_proj", "down_proj"))],
    ids=repr,
)
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
