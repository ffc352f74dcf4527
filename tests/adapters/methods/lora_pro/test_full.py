"""LoRA-Pro's mode full: the authors' AdamW, written out here, and what it is for."""

import copy
import math
from typing import Any

import pytest
import torch
from peft import get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.testing import assert_close

from sweeper_adapters.methods import LoraProSpec
from sweeper_adapters.methods.lora_pro.training import FullTraining
from tests.adapters.direct import Direct, build_adamw

RATE = 0.1
# Relative to a matrix: the authors do not damp what X is solved from, whose eigenvalues are 0.1.
TOLERANCE = 1e-6
EXACT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11}
TARGETS = ("wide", "same")


def build(*, rank=2, init=True, **fields):
    """A model of two layers in float64, its hooks, and its pairs (A, B)."""
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("wide", nn.Linear(7, 12))
    model.add_module("tanh", nn.Tanh())
    model.add_module("same", nn.Linear(12, 12, bias=False))
    spec = LoraProSpec(rank=rank, alpha=3, targets=TARGETS, mode="full", **fields)
    config: Any = spec.peft_config()
    config.task_type, config.init_lora_weights = None, init
    adapted = get_peft_model(model, config).double()
    return adapted, spec.training(adapted, steps=9), pairs_of(adapted)


def pairs_of(model):
    layers: list[Any] = [module for module in model.modules() if isinstance(module, LoraLayer)]
    return [(layer.lora_A["default"].weight, layer.lora_B["default"].weight) for layer in layers]


def backward(model):
    model.zero_grad()
    generator = torch.Generator().manual_seed(1)
    # Of no simple pattern: the first step has the signs of the gradient, and B needs its full rank.
    x, y = (torch.randn(16, n, generator=generator, dtype=torch.float64) for n in (7, 12))
    (model(x) - y).square().mean().backward()


def step(model, training, optimizer, *, rate=RATE, weight_decay=0.0):
    backward(model)
    training.before_step(Direct())
    optimizer.step()
    training.after_step(Direct(), learning_rate=rate, weight_decay=weight_decay)


class Authors:
    """Their AdamW in mode full for one pair, by the formulas of their optim.py.

    Without the rounding of moments to bfloat16, and of a frozen weight that decays.
    """

    def __init__(self):
        self.m: Any = 0.0
        self.v: Any = 0.0
        self.t = 0

    def step(self, a, b, *, s, rate, weight_decay):
        eye_r, eye_o = (torch.eye(n, dtype=a.dtype) for n in (a.shape[0], b.shape[0]))
        inverse_a = torch.linalg.pinv(a @ a.T + 1e-8 * eye_r)
        inverse_b = torch.linalg.pinv(b.T @ b + 1e-8 * eye_r)
        outside = eye_o - b @ inverse_b @ b.T

        part_a = inverse_b @ a.grad / s**2
        part_b = outside @ b.grad @ inverse_a / s**2
        equivalent = s * b @ part_a + s * part_b @ a

        self.t += 1
        self.m = 0.9 * self.m + 0.1 * equivalent
        self.v = 0.999 * self.v + 0.001 * equivalent**2
        size = (self.v / (1 - 0.999**self.t)).sqrt() + 1e-8
        smoothed = self.m / (1 - 0.9**self.t) / size

        grad_a, grad_b = s * b.T @ smoothed, s * smoothed @ a.T
        constant = -inverse_b @ grad_a @ a.T / s**2
        # L X + X M = C as one linear system; while B is zero C is, too.
        system = torch.kron(b.T @ b, eye_r) + torch.kron(eye_r, (a @ a.T).contiguous())
        x = torch.linalg.solve(system, constant.flatten()).view_as(constant)
        step_a = inverse_b @ grad_a / s**2 + x @ a
        step_b = outside @ grad_b @ inverse_a / s**2 - b @ x
        for value, along in ((a, step_a), (b, step_b)):
            value.data *= math.sqrt(1 - weight_decay * rate)
            value.data -= rate * along


@pytest.mark.parametrize("init", [True, False], ids=["zero", "random"])
@pytest.mark.parametrize(("weight_decay", "scaling"), [(0.0, "rank"), (0.3, "sqrt_rank")])
# The latter is theirs, and leaves a B whose products are smaller than what is added to them.
@pytest.mark.parametrize("rate", [RATE, 2e-5])
def test_it_steps_like_the_authors_optimizer(init, weight_decay, scaling, rate):
    model, training, pairs = build(init=init, scaling=scaling)
    scale = 3 / 2 if scaling == "rank" else 3 / math.sqrt(2)
    other = copy.deepcopy(model)
    theirs = [(Authors(), *pair) for pair in pairs_of(other)]
    optimizer = build_adamw(training, learning_rate=rate, weight_decay=weight_decay)
    for _ in range(5):
        step(model, training, optimizer, rate=rate, weight_decay=weight_decay)
        backward(other)
        with torch.no_grad():
            for authors, a, b in theirs:
                authors.step(a, b, s=scale, rate=rate, weight_decay=weight_decay)
        for pair, (_, *expected) in zip(pairs, theirs, strict=True):
            for value, wanted in zip(pair, expected, strict=True):
                assert (value - wanted).norm() <= TOLERANCE * wanted.norm()


def test_at_full_rank_the_first_step_is_adamws_on_the_weight_itself():
    model, training, pairs = build(rank=12, damping=1e-12)
    layer: Any = model.base_model.model.same
    a, b = pairs[1]
    # The gradient of the weight, which LoRA's do not have while B is zero.
    layer.base_layer.weight.requires_grad_(True)
    backward(model)
    weight = nn.Parameter(layer.base_layer.weight.detach().clone())
    weight.grad = layer.base_layer.weight.grad.clone()
    layer.base_layer.weight.requires_grad_(False)
    before = weight.detach().clone()
    torch.optim.AdamW([weight], lr=RATE, weight_decay=0.0).step()
    optimizer = build_adamw(training, learning_rate=RATE, weight_decay=0.0)
    step(model, training, optimizer)
    moved = layer.scaling["default"] * (b @ a).detach()
    assert_close(moved, weight.detach() - before, rtol=1e-5, atol=1e-6)


def test_b_has_its_factor_of_the_learning_rate():
    moved = {}
    for factor in (1, 4):
        model, training, pairs = build(init=False, b_learning_rate_factor=factor)
        before = [(a.detach().clone(), b.detach().clone()) for a, b in pairs]
        step(model, training, build_adamw(training, learning_rate=RATE, weight_decay=0.0))
        moved[factor] = [
            (a.detach() - old_a, b.detach() - old_b)
            for (a, b), (old_a, old_b) in zip(pairs, before, strict=True)
        ]
    for (a, b), (other_a, other_b) in zip(moved[1], moved[4], strict=True):
        assert_close(other_a, a, **EXACT)
        assert_close(other_b, 4 * b, **EXACT)
        assert b.abs().max() > 1e-3


def test_it_goes_on_from_its_state():
    model, training, _ = build()
    optimizer = build_adamw(training, learning_rate=RATE, weight_decay=0.0)
    for _ in range(2):
        step(model, training, optimizer)
    other = copy.deepcopy(model)
    again = FullTraining(other, damping=1e-8)
    again.restore({name: value.clone() for name, value in training.state().items()})
    step(model, training, optimizer)
    step(other, again, build_adamw(again, learning_rate=RATE, weight_decay=0.0))
    for found, expected in zip(other.parameters(), model.parameters(), strict=True):
        assert torch.equal(found, expected)
    fresh = FullTraining(copy.deepcopy(model), damping=1e-8)
    assert fresh.state().keys() == {"count"}


def test_it_keeps_two_numbers_for_each_weight_of_a_target():
    model, training, _ = build()
    assert training.state_elements() == 2 * (7 * 12 + 12 * 12)
    backward(model)
    training.before_step(Direct())
    kept = [value for name, value in training.state().items() if name != "count"]
    assert sum(value.numel() for value in kept) == training.state_elements()
    # The optimiser is given nothing to do.
    assert not any(p.grad.any() for group in training.groups() for p in group.parameters)


def test_the_mode_is_written_only_where_it_is_not_the_default():
    assert "mode" not in LoraProSpec().model_dump()
    assert LoraProSpec(mode="efficient") == LoraProSpec()
    assert LoraProSpec(mode="full").model_dump()["mode"] == "full"
    assert LoraProSpec().parameters()["mode"] == "efficient"
