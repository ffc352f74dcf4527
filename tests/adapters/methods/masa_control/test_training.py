"""MASA's control arm moves as the sum of MASA's matrices does."""

from typing import Any

import torch
from torch.testing import assert_close

from sweeper_adapters.methods import MasaControlSpec, MasaSpec
from tests.adapters.direct import build_adamw

TARGETS = ("q_proj", "down_proj")
# 20 steps in float64 leave this much of rounding, in values of about 0.1.
TOLERANCE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11}


def test_the_control_arm_has_a_larger_step_on_a_and_larger_initial_values(llama, shape):
    fields: dict[str, Any] = {"rank": 4, "group_size": 3, "targets": TARGETS}
    control = MasaControlSpec(experts=5, **fields)
    single = MasaSpec(experts=1, **fields)
    assert control.count(shape) == single.count(shape)
    adapted, reference = control.inject(llama(), seed=2), single.inject(llama(), seed=2)
    named = dict(reference.named_parameters())
    training = control.training(adapted, steps=1)
    rest, down = training.groups()
    assert (down.learning_rate, down.weight_decay, down.eps) == (5, 1 / 5, 1)
    assert (rest.learning_rate, rest.weight_decay, rest.eps) == (1, 1, 1)
    names = {id(p): name for name, p in adapted.named_parameters()}
    assert all(".masa_A." in names[id(p)] for p in down.parameters)
    for parameter in down.parameters:
        assert_close(parameter, 5 * named[names[id(parameter)]], rtol=1e-6, atol=0)


def test_the_control_arm_moves_as_the_sum_of_masa_does(llama, ids):
    # From the same values of A, N times the rate on one matrix is the sum of N matrices.
    fields: dict[str, Any] = {"rank": 4, "targets": TARGETS}
    masa, control = MasaSpec(experts=3, **fields), MasaControlSpec(experts=3, **fields)
    steps, rate, decay = 20, 1e-3, 0.3
    model = masa.inject(llama(), seed=1).double().train()
    other = control.inject(llama(), seed=1).double().train()
    other_named = dict(other.named_parameters())
    with torch.no_grad():
        for name, p in model.named_parameters():
            if ".masa_A." in name:
                other_named[name].copy_(p.sum(0, keepdim=True))
    runs = [
        (model, masa.model_copy(update={"collapse": False}).training(model, steps=steps)),
        (other, control.training(other, steps=steps)),
    ]
    for adapted, training in runs:
        optimizer = build_adamw(training, learning_rate=rate, weight_decay=decay)
        for _ in range(steps):
            adapted(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    for name, p in model.named_parameters():
        if "masa_" in name:
            assert_close(other_named[name][0], p.detach().sum(0), **TOLERANCE)
