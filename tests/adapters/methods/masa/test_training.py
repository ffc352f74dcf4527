"""Collapsed training is the plain form: in float64, where rounding hides nothing."""

import math
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from sweeper_adapters.methods import MasaSpec
from sweeper_adapters.methods.masa.training import CollapsedTraining
from sweeper_adapters.methods.masa.tuner import MasaLinear
from tests.adapters.direct import build_adamw
from tests.whole import few

TARGETS = ("q_proj", "down_proj")
# Between the smallest and the largest norm of these runs.
CLIP = 0.13

# 100 steps in float64 leave this much of rounding, in values of about 0.1.
TOLERANCE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11}


def train(spec, model, ids, *, steps=100, learning_rate=3e-3, weight_decay=0.3):
    """Trains with a schedule, accumulation and a clip that bites; returns losses and norms."""
    adapted = spec.inject(model, seed=5).double().train()
    training = spec.training(adapted, steps=steps)
    optimizer = build_adamw(training, learning_rate=learning_rate, weight_decay=weight_decay)
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    losses, norms = [], []
    for step in range(steps):
        rate = learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
        for row in ids:
            loss = adapted(input_ids=row[None], labels=row[None]).loss / len(ids)
            loss.backward()
            losses.append(float(loss.detach()))
        norms.append(float(torch.nn.utils.clip_grad_norm_(trained, CLIP)))
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        optimizer.step()
        optimizer.zero_grad()
        training.after_step(None, learning_rate=rate, weight_decay=weight_decay)
    return adapted, training, losses, norms


@pytest.mark.parametrize(
    "fields",
    few(
        [
            {"experts": 5},
            {"experts": 3, "sharing": "both", "up_projections": 2, "b_learning_rate_factor": 4},
            {"experts": 2, "sharing": "none", "group_size": 1},
            {"experts": 1, "sharing": "b", "up_projections": 3},
        ],
        {"experts": 3, "sharing": "both", "up_projections": 2, "b_learning_rate_factor": 4},
    ),
    ids=str,
)
def test_collapsed_training_rebuilds_every_matrix(fields, llama, ids, tmp_path):
    spec = MasaSpec(rank=4, targets=TARGETS, **fields)
    plain, _, losses, norms = train(spec.model_copy(update={"collapse": False}), llama(), ids)
    collapsed, training, found, found_norms = train(spec, llama(), ids)
    assert isinstance(training, CollapsedTraining)
    # The clip was in play, and not always.
    assert min(norms) < CLIP < max(norms)
    assert losses[-1] < losses[0] - 0.01
    assert_close(found, losses, **TOLERANCE)
    assert_close(found_norms, norms, **TOLERANCE)
    plain.save_pretrained(tmp_path / "plain")
    with training.finished():
        collapsed.save_pretrained(tmp_path / "collapsed")
    files = [
        load_file(tmp_path / name / "adapter_model.safetensors") for name in ("plain", "collapsed")
    ]
    assert_close(files[1], files[0], **TOLERANCE)
    shapes = {tensor.shape[0] for tensor in files[0].values()}
    assert shapes == {spec.experts, spec.up_projections}


def test_the_matrices_stay_apart(llama, ids):
    # Otherwise an average in the place of each would pass the test above.
    adapted, training, *_ = train(MasaSpec(rank=4, experts=3, targets=TARGETS), llama(), ids)
    with training.finished():
        [first, *_] = [p for name, p in adapted.named_parameters() if ".masa_A." in name]
        assert (first[0] - first[1]).abs().max() > 0.1


def test_a_pass_over_the_sum_makes_no_more_than_one_without_adapters(llama, ids):
    spec = MasaSpec(rank=4, experts=5, targets=TARGETS)
    adapted = spec.inject(llama(), seed=0)
    training = spec.training(adapted, steps=1)
    assert isinstance(training, CollapsedTraining)
    layers = [module for module in adapted.modules() if isinstance(module, MasaLinear)]
    x = torch.randn(7, layers[0].in_features)
    with torch.profiler.profile() as profile:
        layers[0](x)
    # The frozen product, and two thin ones: nothing is scaled, added or summed by itself.
    names = [event.name for event in profile.events()]
    assert (names.count("aten::linear"), names.count("aten::addmm_")) == (2, 1)
    assert not set(names) & {"aten::mul", "aten::mul_", "aten::add", "aten::add_", "aten::sum"}


def test_only_sums_are_trained(llama):
    spec = MasaSpec(rank=4, experts=5, group_size=2, targets=TARGETS)
    adapted = spec.inject(llama(), seed=0)
    whole = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    training = spec.training(adapted, steps=1)
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    # Three groups of two types of layer.
    assert whole - trained == 3 * 4 * 4 * (32 + 48)
    groups = training.groups()
    assert [round(group.learning_rate**2) for group in groups] == [1, 5]
    ids_of = [id(p) for group in groups for p in group.parameters]
    assert len(ids_of) == len(set(ids_of))
    assert sum(p.numel() for group in groups for p in group.parameters) == trained


def test_a_loaded_adapter_goes_on_from_its_own_matrices(llama, ids, tmp_path):
    from peft import PeftModel

    spec = MasaSpec(rank=4, experts=3, targets=TARGETS)
    adapted, training, *_ = train(spec, llama(), ids, steps=3)
    with training.finished():
        adapted.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(llama(), tmp_path, is_trainable=True)
    before = {name: p.detach().clone() for name, p in loaded.named_parameters()}
    again = spec.training(loaded, steps=1)
    with again.finished():
        for name, parameter in loaded.named_parameters():
            # The sum is divided again, in float32.
            assert_close(parameter, before[name], rtol=1e-6, atol=1e-7)


def test_a_router_is_trained_expert_by_expert(llama):
    spec = MasaSpec(rank=4, router="softmax", targets=TARGETS)
    training = spec.training(spec.inject(llama(), seed=0), steps=1)
    assert not isinstance(training, CollapsedTraining)


def test_where_matrices_are_single_nothing_is_collapsed(llama):
    spec = MasaSpec(rank=4, experts=1, targets=TARGETS)
    adapted = spec.inject(llama(), seed=0)
    before = [id(p) for p in adapted.parameters() if p.requires_grad]
    training = spec.training(adapted, steps=1)
    assert [id(p) for p in adapted.parameters() if p.requires_grad] == before
    assert [group.learning_rate for group in training.groups()] == [1.0]
