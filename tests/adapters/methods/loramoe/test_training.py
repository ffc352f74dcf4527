"""LoRAMoE: what balances the experts, and what it takes from a model in training."""

import gc
import weakref
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import nn
from torch.testing import assert_close

from sweeper_adapters import MoeConfig, MoeLinear
from sweeper_adapters.methods import LoraMoeSpec
from sweeper_adapters.methods.loramoe.training import BalancedTraining, balance_loss

# The same products in float32, in another order.
TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}

LORAMOE = LoraMoeSpec(
    rank=3, experts=4, balance=0.3, type_bias=0.2, knowledge_domains=("quiz",), targets=("q_proj",)
)
TYPES = torch.tensor([1, 0])


def layers_of(model):
    return [module for module in model.modules() if isinstance(module, MoeLinear)]


def test_the_loss_is_the_squared_coefficient_of_variation_of_each_layer():
    shares = torch.rand(3, 2, 4, dtype=torch.float64)
    expected = 0.0
    for layer in shares:
        z = []
        for sample, kind in enumerate((1, 0)):
            for i in range(4):
                # Type 1 belongs to the first half.
                is_own = (i < 2) == (kind == 1)
                z.append(float(layer[sample, i]) * (1.2 if is_own else 0.8))
        mean = sum(z) / 8
        variance = sum((value - mean) ** 2 for value in z) / 7
        expected += variance / (mean**2 + 1e-10)
    found = balance_loss(shares, TYPES, type_bias=0.2)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_without_bias_equal_shares_cost_nothing_and_bias_asks_for_the_own_half_less():
    equal = torch.full((1, 2, 4), 0.25)
    assert balance_loss(equal, TYPES, type_bias=0.0) == 0
    shares = equal.clone().requires_grad_()
    balance_loss(shares, TYPES, type_bias=0.1).backward()
    # Descent takes from the half of the own type, whose weight is larger.
    own = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1]]).bool()
    assert shares.grad is not None
    assert (shares.grad[0][own] > 0).all()
    assert (shares.grad[0][~own] < 0).all()


def balanced(llama, spec=LORAMOE):
    model = spec.inject(llama(), seed=0).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".moelora_B." in name:
                parameter.normal_(std=0.1)
    training = spec.training(model, steps=1)
    assert isinstance(training, BalancedTraining)
    return model, training


def router_gradients(model):
    return {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if name.endswith(".router")
    }


def test_the_auxiliary_loss_is_that_of_what_the_routers_did(llama, ids):
    model, training = balanced(llama)
    gates = []
    for layer in layers_of(model):
        layer.moelora_A["default"].register_forward_hook(lambda *args: gates.append(args[2][1]))
    training.set_task_ids(TYPES)
    model(input_ids=ids)
    shares = torch.stack([p.sum(1) for p in gates])
    assert shares.shape == (5, 2, 4)
    expected = 0.3 * balance_loss(shares, TYPES, type_bias=0.2)
    assert_close(training.auxiliary_loss(), expected, rtol=0, atol=0)


def test_padding_does_not_count(llama, ids):
    model, training = balanced(llama)
    # Two samples of like length, alone and beside one that is longer.
    training.set_task_ids(TYPES)
    model(input_ids=ids[:, :5], attention_mask=torch.ones(2, 5))
    expected = training.auxiliary_loss()
    padded = ids.clone()
    padded[:, 5:] = 0
    mask = torch.ones_like(ids)
    mask[:, 5:] = 0
    training.set_task_ids(TYPES)
    model(input_ids=padded, attention_mask=mask)
    assert_close(training.auxiliary_loss(), expected, **TOLERANCE)
    # Without a mask it does.
    training.set_task_ids(TYPES)
    model(input_ids=padded)
    assert not torch.allclose(training.auxiliary_loss(), expected, **TOLERANCE)


@pytest.mark.parametrize("with_loss", [False, True])
@pytest.mark.parametrize("with_mask", [False, True])
def test_checkpointing_gives_the_router_the_same_gradient(with_loss, with_mask, llama, ids):
    mask = torch.ones_like(ids)
    mask[0, 6:] = 0
    found = []
    for is_on in (False, True):
        model, training = balanced(llama)
        if is_on:
            model.activation_checkpointing_enable({"use_reentrant": False})
        training.set_task_ids(TYPES)
        loss = model(input_ids=ids, labels=ids, attention_mask=mask if with_mask else None).loss
        auxiliary = training.auxiliary_loss()
        (loss + auxiliary if with_loss else auxiliary).backward()
        found.append(router_gradients(model))
        # The second run of the layers, in the backward pass, has left nothing.
        assert model.base_model.gate_record.take() == []
    assert len(found[0]) == 5
    assert all(gradient.abs().sum() > 0 for gradient in found[0].values())
    assert_close(found[0], found[1], rtol=0, atol=0)


def test_the_loss_changes_the_gradient(llama, ids):
    found = []
    for factor in (0, 1):
        model, training = balanced(llama)
        training.set_task_ids(TYPES)
        loss = model(input_ids=ids, labels=ids).loss
        (loss + factor * training.auxiliary_loss()).backward()
        found.append(router_gradients(model))
    assert any(not torch.allclose(found[0][name], found[1][name]) for name in found[0])


def test_reentrant_checkpointing_is_refused(llama, ids):
    model, training = balanced(llama)
    model.activation_checkpointing_enable({"use_reentrant": True})
    model.enable_input_require_grads()
    training.set_task_ids(TYPES)
    model(input_ids=ids, labels=ids)
    with pytest.raises(ValueError, match=r"have no gradient.*use_reentrant=False"):
        training.auxiliary_loss()


def test_samples_of_unknown_type_are_refused(llama, ids):
    model, training = balanced(llama)
    model(input_ids=ids)
    with pytest.raises(ValueError, match=r"task ids are none .* call set_task_ids before"):
        training.auxiliary_loss()


def test_a_layer_that_sees_no_samples_is_refused():
    model = get_peft_model(nn.Sequential(nn.Linear(6, 5)), MoeConfig(target_modules=["0"]))
    record = layers_of(model)[0].gate_record
    record.start()
    model.train()
    model(torch.randn(7, 6))
    with pytest.raises(ValueError, match=r"activations of shape \(7, 'features'\); .* out of targ"):
        record.take()


def test_nothing_is_kept_of_passes_that_nobody_asks_about(llama, ids):
    model, training = balanced(llama)
    kept = []

    def watch(module, args, output):
        kept.append(weakref.ref(output[1]))

    for layer in layers_of(model):
        layer.moelora_A["default"].register_forward_hook(watch)
    # Plain use in training.
    model(input_ids=ids, labels=ids).loss.backward()
    # Evaluation, with and without gradients.
    model.eval()
    training.set_task_ids(TYPES)
    model(input_ids=ids)
    with torch.no_grad():
        model(input_ids=ids)
    assert model.base_model.gate_record.take() == []
    # A step of training.
    model.train()
    training.set_task_ids(TYPES)
    loss = model(input_ids=ids, labels=ids).loss
    (loss + training.auxiliary_loss()).backward()
    del loss
    gc.collect()
    assert len(kept) == 4 * 5
    assert [reference() for reference in kept] == [None] * len(kept)


def test_passes_that_are_announced_again_do_not_add_up(llama, ids):
    model, training = balanced(llama)
    for _ in range(3):
        training.set_task_ids(TYPES)
        model(input_ids=ids)
    assert len(model.base_model.gate_record.take()) == 5


@pytest.mark.parametrize(
    ("named", "domains", "expected"),
    [
        (("quiz",), ("quiz", "sums"), (1, 0)),
        (("quiz", "facts", "other data's"), ("facts", "quiz", "sums"), (1, 1, 0)),
    ],
)
def test_types_of_the_domains(named, domains, expected):
    spec = LoraMoeSpec(knowledge_domains=named)
    assert spec.needs_task_ids
    assert spec.task_ids(domains) == expected


@pytest.mark.parametrize(
    ("named", "domains", "message"),
    [
        ((), ("quiz", "sums"), r"it is \[\]; the data has quiz, sums; name those"),
        (("quizz",), ("quiz", "sums"), r"it is \['quizz'\]; the data has quiz, sums"),
        (("quiz",), ("",), "the data has none"),
    ],
)
def test_data_without_the_domains_is_refused(named, domains, message):
    with pytest.raises(ValueError, match=message):
        LoraMoeSpec(knowledge_domains=named).task_ids(domains)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"experts": 3}, "multiple of 2"),
        ({"type_bias": 1.5}, "less than or equal to 1"),
        ({"balance": -1}, "greater than or equal to 0"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        LoraMoeSpec(**values)
