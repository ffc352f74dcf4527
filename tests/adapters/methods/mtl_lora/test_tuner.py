import copy
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import get_peft_model
from torch import nn
from torch.testing import assert_close

from sweeper_adapters import MtlLoraConfig, MtlLoraLinear, set_task_ids
from sweeper_adapters._task_ids import TaskIds
from sweeper_adapters.methods import MtlLoraSpec
from tests.adapters.shapes import LLAMA3_8B, TINY, published
from tests.adapters.small import gradcheck, randomised

# The same products in float32, in another order.
TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def adapted(net=None, **values):
    net = net or nn.Sequential(nn.Linear(6, 5))
    config = MtlLoraConfig(target_modules=["0"], **{"r": 2, "num_tasks": 3, **values})
    return randomised(get_peft_model(net, config))


def layers_of(model):
    return [module for module in model.modules() if isinstance(module, MtlLoraLinear)]


def of_task(layer, task, *, temperature, adapter="default"):
    """(Σ_i softmax(w_t / τ)_i B_i) Λ_t A, by the equation."""
    down, up = layer.mtllora_A[adapter], layer.mtllora_B[adapter]
    shares = F.softmax(up.mixture[task] / temperature, dim=0)
    mixed = torch.zeros(up.weight.shape[1:])
    for share, matrix in zip(shares, up.weight, strict=True):
        mixed = mixed + share * matrix
    return mixed @ down.lambdas[task] @ down.weight


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("shape", [(4, 6), (4, 5, 6), (4, 2, 3, 6), (1, 7, 6)])
@pytest.mark.parametrize("temperature", [0.1, 2.0])
def test_is_the_equation_sample_by_sample(tasks, shape, temperature):
    model = adapted(num_tasks=tasks, alpha=7, temperature=temperature)
    ids = torch.tensor([2, 0, 2, 1])[: shape[0]] % tasks
    set_task_ids(model, ids)
    x = torch.randn(shape)
    [layer] = layers_of(model)
    found = model(x)
    assert found.shape == (*shape[:-1], 5)
    for number, task in enumerate(ids):
        delta = of_task(layer, task, temperature=temperature)
        expected = layer.base_layer(x[number]) + 7 / 2 * x[number] @ delta.T
        assert_close(found[number], expected, **TOLERANCE)


@pytest.mark.parametrize("tasks", [1, 3])
def test_gradients_are_those_of_finite_differences(tasks):
    model = adapted(nn.Sequential(nn.Linear(3, 2).double()), num_tasks=tasks, temperature=0.7)
    model = model.double()
    set_task_ids(model, torch.tensor([1, 1, 2, 0]))
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    assert gradcheck(model, x)


def test_a_task_that_is_not_in_the_batch_gets_no_gradient():
    model = adapted()
    set_task_ids(model, torch.tensor([2, 0]))
    model(torch.randn(2, 3, 6)).square().sum().backward()
    [layer] = layers_of(model)
    lambdas = layer.mtllora_A["default"].lambdas.grad
    mixture = layer.mtllora_B["default"].mixture.grad
    for gradient in (lambdas, mixture):
        assert gradient[1].abs().max() == 0
        assert gradient[0].abs().max() > 0
        assert gradient[2].abs().max() > 0


def test_initial_values():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 32))
    config = MtlLoraConfig(r=16, num_tasks=40, num_up_projections=4, target_modules=["0"])
    [layer] = layers_of(get_peft_model(net, config))
    down, up = layer.mtllora_A["default"], layer.mtllora_B["default"]
    assert down.weight.std().item() == pytest.approx(1 / math.sqrt(3 * 64), rel=0.1)
    assert torch.equal(down.lambdas, torch.eye(16).expand(40, 16, 16))
    assert up.weight.shape == (4, 32, 16)
    assert up.weight.abs().max() == 0
    # kaiming_uniform_(a=√5) on [K, M].
    assert up.mixture.abs().max() <= 1 / math.sqrt(4)
    assert up.mixture.std().item() == pytest.approx(1 / math.sqrt(3 * 4), rel=0.1)


def test_dropout_acts_in_training():
    model = adapted(dropout=0.5)
    set_task_ids(model, torch.arange(3))
    x = torch.randn(3, 50, 6)
    model.eval()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


def test_the_weights_of_the_matrices_are_taken_in_float32():
    model = adapted().to(torch.bfloat16)
    set_task_ids(model, torch.arange(3))
    up = layers_of(model)[0].mtllora_B["default"]
    shares = F.softmax(up.mixture.float() / 0.1, dim=-1).to(torch.bfloat16)
    expected = torch.einsum("km,mor->kor", shares, up.weight)
    assert torch.equal(up.mixed(), expected)
    assert model(torch.randn(3, 2, 6, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_one_task_is_a_lora_and_merges():
    model = adapted(num_tasks=1, alpha=3)
    [layer] = layers_of(model)
    delta = 3 / 2 * of_task(layer, 0, temperature=0.1)
    assert_close(layer.delta("default"), delta, **TOLERANCE)
    down, up = layer.lora_factors("default")
    assert down.shape == (2, 6)
    assert up.shape == (5, 2)
    assert_close(up @ down, delta, **TOLERANCE)
    assert layer.supports_lora_conversion()
    x = torch.randn(4, 6)
    expected = model(x)
    assert_close(model.merge_and_unload()(x), expected, **TOLERANCE)


def test_several_tasks_cannot_be_merged_or_exported():
    model = adapted()
    [layer] = layers_of(model)
    assert not layer.supports_lora_conversion()
    with pytest.raises(ValueError, match=r"'default' has 3 tasks.*run the model unmerged"):
        model.merge_adapter()
    with pytest.raises(ValueError, match=r"'default' .*is not a LoRA.*--format peft"):
        layer.lora_factors("default")


def test_layers_of_gpt2_merge(ids):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    base = GPT2LMHeadModel(config).eval()
    targets = ["c_attn", "c_proj"]
    model = get_peft_model(base, MtlLoraConfig(r=2, target_modules=targets, init_weights=False))
    expected = model.eval()(input_ids=ids).logits
    assert_close(model.merge_and_unload()(input_ids=ids).logits, expected, **TOLERANCE)


# Task ids.


def test_all_layers_read_one_place_also_in_a_copy(llama, ids):
    spec = MtlLoraSpec(rank=2, tasks=2, targets=("q_proj", "down_proj"))
    model = spec.inject(llama(), seed=0)
    twin = copy.deepcopy(model)
    for one in (model, twin):
        holders = {id(layer.task_ids) for layer in layers_of(one)}
        assert holders == {id(one.base_model.task_ids)}
        assert len(layers_of(one)) == 10
    assert twin.base_model.task_ids is not model.base_model.task_ids
    set_task_ids(twin, torch.tensor([0, 1]))
    assert torch.equal(twin(input_ids=ids).logits, llama()(input_ids=ids).logits)
    with pytest.raises(ValueError, match="task ids are none for a batch of 2"):
        model(input_ids=ids)


@pytest.mark.parametrize(
    ("task_ids", "message"),
    [
        (None, "mtl_lora: task ids are none for a batch of 2; needed is one for each sample"),
        (torch.tensor([1]), r"task ids are \(1,\) for a batch of 2; .*; call .*set_task_ids"),
        (torch.zeros(2, 3).long(), r"task ids are \(2, 3\)"),
    ],
)
def test_samples_of_unknown_task_are_refused(task_ids, message):
    model = adapted()
    set_task_ids(model, task_ids)
    with pytest.raises(ValueError, match=message):
        model(torch.randn(2, 3, 6))


def test_training_passes_task_ids_on(llama):
    spec = MtlLoraSpec(rank=2, tasks=2)
    model = spec.inject(llama(), seed=0)
    training = spec.training(model, steps=1)
    given = torch.tensor([1, 0, 1])
    training.set_task_ids(given)
    x = torch.randn(3, 2, 4)
    assert torch.equal(layers_of(model)[0].task_ids.of(x, tasks=2, method="x"), given)
    assert training.auxiliary_loss() is None


def test_checkpointing_recomputes_with_the_same_tasks(llama, ids):
    spec = MtlLoraSpec(rank=2, tasks=2)
    found = []
    for kind in (None, False, True):
        model = spec.inject(llama(), seed=0).train()
        with torch.no_grad():
            generator = torch.Generator().manual_seed(2)
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.normal_(std=0.1, generator=generator)
        if kind is not None:
            model.activation_checkpointing_enable({"use_reentrant": kind})
            model.enable_input_require_grads()
        set_task_ids(model, torch.tensor([1, 0]))
        model(input_ids=ids, labels=ids).loss.backward()
        trained = [p for p in model.parameters() if p.requires_grad]
        found.append([p.grad for p in trained if p.grad is not None])
        assert len(found[-1]) == len(trained)
    assert all(gradient.any() for gradient in found[0])
    assert_close(found[1], found[0], rtol=0, atol=0)
    assert_close(found[2], found[0], rtol=0, atol=0)


def test_what_the_spec_needs_depends_on_the_tasks():
    one, two = MtlLoraSpec(), MtlLoraSpec(tasks=2)
    assert (one.needs_task_ids, two.needs_task_ids) == (False, True)
    assert (one.is_mergeable, two.is_mergeable) == (True, False)
    assert (one.exports_lora, two.exports_lora) == (True, False)
    assert one.task_ids(("letter", "sum", "word")) == (0, 0, 0)
    assert two.task_ids(("letter", "sum")) == (0, 1)


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        (("",), r"tasks is 2 but the data has no domains; .*; set tasks to 1"),
        (("only",), r"tasks is 2 but the data has 1 domain, only; .*; set tasks to 1"),
        (("a", "b", "c"), "mtl_lora: tasks is 2 but the data has 3 domains, a, b, c; each domain"),
    ],
)
def test_data_with_other_domains_is_refused(domains, message):
    with pytest.raises(ValueError, match=message):
        MtlLoraSpec(tasks=2).task_ids(domains)


def test_the_published_count():
    assert f"{published(LLAMA3_8B, MtlLoraSpec()):.4f}" == "0.5327"
    more = MtlLoraSpec(tasks=3).count(TINY) - MtlLoraSpec().count(TINY)
    assert more == 4 * 7 * 2 * (8 * 8 + 3)
    assert [field for field, _ in MtlLoraSpec(rank=17).problems(TINY)] == ["rank"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "mtl_lora: r is 0; allowed is 1 or more; change r"),
        ({"num_up_projections": 0}, "num_up_projections is 0"),
        ({"num_tasks": 0}, "num_tasks is 0"),
        ({"temperature": 0}, "temperature is 0; allowed is above 0"),
        ({"dropout": 1.0}, "dropout is 1.0; allowed is 0 to below 1"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        MtlLoraConfig(**values)


def test_defaults_are_the_same_as_those_of_the_config():
    config = MtlLoraConfig(target_modules=list(MtlLoraSpec().targets), task_type="CAUSAL_LM")
    assert MtlLoraSpec().peft_config().to_dict() == config.to_dict()


def test_a_model_that_joins_samples_and_tokens_is_told_as_such():
    ids = TaskIds()
    ids.set(torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"6 rows for 2 samples, .* cannot be known; leave the"):
        ids.of(torch.zeros(6, 4), tasks=2, method="mtl_lora")
