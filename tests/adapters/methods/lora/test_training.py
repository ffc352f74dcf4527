"""rsLoRA and LoRA+ are those of PEFT."""

import copy
import json
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from torch.testing import assert_close

from sweeper_adapters.methods import DoraSpec, LoraSpec, PissaSpec, published_form
from tests.adapters.direct import build_adamw
from tests.adapters.passes import gradients, logits, train

LAYERS = 2
TARGETS = ("q_proj", "down_proj")
RATE, DECAY = 3e-3, 0.1

# The scale times a sum of twice the rank.
ROUNDING = 1e-5


def test_loraplus_steps_like_pefts_own(llama, ids):
    spec = LoraSpec(rank=4, targets=TARGETS, b_learning_rate_factor=16)
    model = train(spec.inject(llama(), seed=0))
    other = copy.deepcopy(model)
    ours = build_adamw(spec.training(model, steps=3), learning_rate=RATE, weight_decay=DECAY)
    theirs = create_loraplus_optimizer(
        other,
        torch.optim.AdamW,
        lr=RATE,
        loraplus_lr_ratio=16,
        loraplus_weight_decay=DECAY,
        # That of build_adamw.
        eps=1e-4,
    )
    named = {id(p): name for m in (model, other) for name, p in m.named_parameters()}
    groups = [
        {
            (round(g["lr"], 9), g["weight_decay"], frozenset(named[id(p)] for p in g["params"]))
            for g in optimizer.param_groups
            if g["params"]
        }
        for optimizer in (ours, theirs)
    ]
    assert groups[0] == groups[1]
    assert len(groups[0]) == 2
    before = {name: p.clone() for name, p in model.named_parameters() if p.requires_grad}
    for _ in range(3):
        for each, optimizer in ((model, ours), (other, theirs)):
            gradients(each, ids)
            optimizer.step()
    for (name, found), expected in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(found, expected), name
        assert name not in before or not torch.equal(found, before[name])


def test_the_lengths_of_dora_keep_the_learning_rate(llama):
    spec = DoraSpec(rank=4, targets=TARGETS, b_learning_rate_factor=16)
    model = spec.inject(llama(), seed=0)
    rest, ups = spec.training(model, steps=3).groups()
    names = {id(p): name for name, p in model.named_parameters()}
    assert (rest.learning_rate, ups.learning_rate) == (1, 16)
    assert all(".lora_B." in names[id(p)] for p in ups.parameters)
    assert any("magnitude" in names[id(p)] for p in rest.parameters)


def test_rslora_is_pefts_own(llama, ids):
    spec = LoraSpec(rank=3, alpha=5, targets=TARGETS, scaling="sqrt_rank")
    model = train(spec.inject(llama(), seed=0))
    torch.manual_seed(0)
    config = LoraConfig(r=3, lora_alpha=5, use_rslora=True, target_modules=list(TARGETS))
    theirs = train(get_peft_model(llama(), config))
    assert torch.equal(logits(model, ids), logits(theirs, ids))


@pytest.mark.parametrize("spec", [LoraSpec, PissaSpec, DoraSpec], ids=lambda s: s.__name__)
def test_what_is_saved_loads_in_peft_with_the_scale_of_rslora(spec, llama, ids, tmp_path):
    spec = spec(rank=3, alpha=5, targets=TARGETS, scaling="sqrt_rank")
    model = spec.inject(llama(), seed=0)
    hooks = spec.training(model, steps=3)
    expected = logits(train(model), ids)
    with hooks.finished():
        model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["use_rslora"] is True
    loaded = PeftModel.from_pretrained(llama(), tmp_path)
    layers: list[Any] = [module for module in loaded.modules() if hasattr(module, "lora_A")]
    [scale] = {layer.scaling["default"] for layer in layers}
    assert scale == pytest.approx(5 / 3**0.5)
    assert_close(logits(loaded, ids), expected, rtol=0, atol=ROUNDING * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["rslora", "rsLoRA", "rs-lora", "rs_lora"])
def test_rslora_is_found_by_its_name(name):
    assert published_form(name) == "{name: lora, scaling: sqrt_rank}"


@pytest.mark.parametrize("name", ["lora+", "LoRA+", "lora_plus", "loraplus"])
def test_loraplus_is_found_by_its_name(name):
    assert published_form(name) == "{name: lora, b_learning_rate_factor: 16}"


@pytest.mark.parametrize("name", ["lora", "adalora", "plus", ""])
def test_other_names_have_no_other_form(name):
    assert published_form(name) is None
