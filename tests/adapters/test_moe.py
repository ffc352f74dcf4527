import gc
import math
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import get_peft_model
from torch import nn
from torch.testing import assert_close

from sweeper_adapters import MoeConfig, MoeLinear
from sweeper_adapters.methods import LoraMoeSpec, MoeLoraSpec
from sweeper_adapters.moe_training import BalancedTraining, balance_loss
from tests.adapters.test_methods import LLAMA3_8B, TINY, published

# The same products in float32, in another order.
TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}

LORAMOE = LoraMoeSpec(
    rank=3, experts=4, balance=0.3, type_bias=0.2, knowledge_domains=("quiz",), targets=("q_proj",)
)
TYPES = torch.tensor([1, 0])


class Net(nn.Module):
    def __init__(self, in_features=6, out_features=5):
        super().__init__()
        self.first = nn.Linear(in_features, out_features)
        self.last = nn.Linear(out_features, in_features, bias=False)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


def adapted(net, **values):
    config = MoeConfig(target_modules=["first", "last"], **{"r": 2, "num_experts": 3, **values})
    model = get_peft_model(net, config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    return model


def layers_of(model):
    return [module for module in model.modules() if isinstance(module, MoeLinear)]


def matrices(layer):
    down, up = layer.moelora_A["default"], layer.moelora_B["default"]
    return down.weight, up.weight, down.router


def reference(layer, x, *, scale, dropped=None):
    """The layer in loops over tokens and experts."""
    a, b, router = matrices(layer)
    dropped = x if dropped is None else dropped
    rows = []
    for seen, token in zip(dropped.flatten(0, -2), x.flatten(0, -2), strict=True):
        p = F.softmax(router @ token, dim=0)
        row = layer.base_layer(token)
        for i in range(len(a)):
            row = row + scale * p[i] * (b[i] @ (a[i] @ seen))
        rows.append(row)
    return torch.stack(rows).view(*x.shape[:-1], -1)


@pytest.mark.parametrize("experts", [1, 2, 5])
@pytest.mark.parametrize("shape", [(6,), (7, 6), (2, 3, 6), (2, 1, 3, 6)])
def test_is_the_sum_of_weighted_experts(experts, shape):
    model = adapted(Net(), num_experts=experts, alpha=7)
    x = torch.randn(shape)
    first, last = layers_of(model)
    hidden = torch.tanh(reference(first, x.view(-1, 6), scale=7 / 2))
    expected = reference(last, hidden, scale=7 / 2).view(shape)
    assert_close(model(x), expected, **TOLERANCE)


def test_gradients_are_those_of_finite_differences():
    model = adapted(Net(3, 2).double()).double()
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    values = [dict(model.named_parameters())[name].detach().clone() for name in names]
    x = torch.randn(2, 3, 3, dtype=torch.float64)

    def of_parameters(x, *values):
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), (x,))

    inputs = [tensor.requires_grad_() for tensor in (x, *values)]
    assert torch.autograd.gradcheck(of_parameters, inputs)


def test_dropout_acts_in_training_and_not_on_the_router():
    model = adapted(Net(), dropout=0.5)
    first, _ = layers_of(model)
    x = torch.randn(4, 3, 6)
    model.eval()
    assert_close(first(x), reference(first, x, scale=8), **TOLERANCE)
    model.train()
    seen = []
    first.moelora_A["default"].dropout.register_forward_hook(lambda *args: seen.append(args[2]))
    found = first(x)
    assert (seen[0] == 0).any()
    assert_close(found, reference(first, x, scale=8, dropped=seen[0]), **TOLERANCE)


def test_the_gates_are_taken_in_float32():
    model = adapted(Net()).to(torch.bfloat16)
    first, _ = layers_of(model)
    x = torch.randn(2, 3, 6, dtype=torch.bfloat16)
    _, gates = first.moelora_A["default"](x)
    assert gates.dtype == torch.float32
    assert_close(gates.sum(-1), torch.ones(2, 3), rtol=0, atol=1e-6)
    assert first(x).dtype == torch.bfloat16


def test_initial_values():
    torch.manual_seed(0)
    config = MoeConfig(r=16, num_experts=4, target_modules=["first", "last"])
    first, _ = layers_of(get_peft_model(Net(64, 32), config))
    a, b, router = matrices(first)
    assert a.shape == (4, 16, 64)
    assert b.shape == (4, 32, 16)
    assert router.shape == (4, 64)
    bound = 1 / math.sqrt(64)
    for matrix in (*a, router):
        assert matrix.abs().max() <= bound
        assert matrix.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert b.abs().max() == 0
    assert not torch.equal(a[0], a[1])


def test_layers_of_gpt2(ids):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    base = GPT2LMHeadModel(config).eval()
    before = base(input_ids=ids).logits
    model = get_peft_model(base, MoeConfig(r=2, target_modules=["c_attn", "c_proj"]))
    assert torch.equal(model(input_ids=ids).logits, before)
    assert matrices(layers_of(model)[0])[1].shape == (2, 48, 2)


def test_it_cannot_be_merged():
    model = adapted(Net())
    with pytest.raises(ValueError, match=r"'default' has a router.*run the model unmerged"):
        model.merge_and_unload()
    assert not layers_of(model)[0].supports_lora_conversion()
    with pytest.raises(ValueError, match="is not a LoRA"):
        layers_of(model)[0].lora_factors("default")
    assert not MoeLoraSpec().is_mergeable
    assert not MoeLoraSpec().exports_lora


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "moelora: r is 0; allowed is 1 or more; change r"),
        ({"num_experts": 0}, "num_experts is 0"),
        ({"dropout": 1.0}, "dropout is 1.0; allowed is 0 to below 1"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        MoeConfig(**values)


def test_the_published_count():
    assert f"{published(LLAMA3_8B, MoeLoraSpec(experts=2, rank=8)):.4f}" == "0.5503"
    assert LoraMoeSpec(experts=2).count(LLAMA3_8B) == MoeLoraSpec(experts=2).count(LLAMA3_8B)
    assert [f for f, _ in MoeLoraSpec(rank=17).problems(TINY)] == ["rank"]


# The loss of LoRAMoE.


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
def test_checkpointing_gives_the_router_the_same_gradient(with_loss, llama, ids):
    found = []
    for is_on in (False, True):
        model, training = balanced(llama)
        if is_on:
            model.activation_checkpointing_enable({"use_reentrant": False})
        training.set_task_ids(TYPES)
        loss = model(input_ids=ids, labels=ids).loss
        auxiliary = training.auxiliary_loss()
        (loss + auxiliary if with_loss else auxiliary).backward()
        found.append(router_gradients(model))
        # The second run of the layers, in the backward pass, has left nothing.
        assert model.base_model.routing.take() == []
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
    model = adapted(Net(), num_experts=2)
    model.base_model.routing.start()
    model.train()
    with pytest.raises(ValueError, match=r"activations of shape \(7,\)"):
        model(torch.randn(7, 6))


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
    # A step of training.
    model.train()
    training.set_task_ids(TYPES)
    loss = model(input_ids=ids, labels=ids).loss
    (loss + training.auxiliary_loss()).backward()
    del loss
    gc.collect()
    assert len(kept) == 4 * 5
    assert [reference() for reference in kept] == [None] * len(kept)
    assert model.base_model.routing.mask is None


def test_passes_that_are_announced_again_do_not_add_up(llama, ids):
    model, training = balanced(llama)
    for _ in range(3):
        training.set_task_ids(TYPES)
        model(input_ids=ids)
    assert len(model.base_model.routing.take()) == 5


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
