from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close

from sweeper_adapters import MosaConfig, MosaLinear
from sweeper_adapters.methods import MosaSpec
from sweeper_kernels import Tessellation, group_index

# The same products in float32, in another order.
TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def adapted(layer, **values):
    """One linear layer with a MoSA adapter of random values."""
    config = MosaConfig(target_modules=["0"], **values)
    model = get_peft_model(nn.Sequential(layer), config)
    found = layers_of(model)[0]
    with torch.no_grad():
        found.mosa_values["default"].weight.normal_()
    return found


def layers_of(model):
    return [module for module in model.modules() if isinstance(module, MosaLinear)]


def values_of(layer, adapter="default"):
    return layer.mosa_values[adapter]


def explicit(layer, x, values, *, tessellation):
    """(W0 + λ[Γ]) x + bias by plain indexing, Γ made anew."""
    index = group_index(tessellation).long()
    return F.linear(x, layer.base_layer.weight + values[index], layer.base_layer.bias)


@pytest.mark.parametrize("grouping", ["brt", "row", "col", "skewed"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("is_called", [False, True], ids=["fused", "base layer called"])
def test_is_the_explicit_layer_with_all_gradients(grouping, bias, is_called):
    layer = adapted(
        nn.Linear(10, 7, bias=bias), num_groups=13, grouping=grouping, tessellation_seed=3
    )
    calls = []
    if is_called:
        layer.base_layer.register_forward_hook(lambda *_: calls.append(1))
    tessellation = Tessellation(7, 10, 13, grouping, seed=3)
    x, grad_y = torch.randn(2, 3, 10, requires_grad=True), torch.randn(2, 3, 7)
    values = values_of(layer).weight
    found = layer(x)
    expected = explicit(layer, x, values, tessellation=tessellation)
    assert bool(calls) == is_called
    assert_close(found, expected, **TOLERANCE)
    assert_close(
        torch.autograd.grad(found, (x, values), grad_y),
        torch.autograd.grad(expected, (x, values), grad_y),
        **TOLERANCE,
    )


def test_size_follows_the_rank_or_is_given():
    assert values_of(adapted(nn.Linear(100, 80), r=3)).weight.shape == (3 * 180,)
    assert values_of(adapted(nn.Linear(100, 80))).weight.shape == (32 * 180,)
    assert values_of(adapted(nn.Linear(10, 8), num_groups=80)).weight.shape == (80,)
    assert values_of(adapted(nn.Linear(10, 8), num_groups=1)).weight.shape == (1,)


def test_a_16_bit_base_keeps_updates_below_its_precision():
    layer = adapted(nn.Linear(2, 64, bias=False, dtype=torch.bfloat16), num_groups=9)
    assert values_of(layer).weight.dtype == torch.float32
    with torch.no_grad():
        values_of(layer).weight.fill_(1e-6)
        layer.base_layer.weight.copy_(torch.tensor([[1.0, -1.0]]).expand(64, 2))
    # The frozen weight alone gives zero.
    found = layer(torch.ones(1, 2, dtype=torch.bfloat16))
    assert_close(found.float(), torch.full((1, 64), 2e-6), rtol=1e-2, atol=0)


def test_layers_of_one_shape_use_one_tensor_of_groups(llama, ids):
    spec = MosaSpec(rank=4, index="stored")
    model = spec.inject(llama(), seed=0)
    model.add_adapter("second", spec.peft_config())
    other = MosaSpec(rank=4, index="stored", tessellation_seed=1)
    model.add_adapter("third", other.peft_config())
    model(input_ids=ids)
    by_shape: dict[tuple[int, ...], set[int]] = {}
    for layer in layers_of(model):
        for adapter in ("default", "second"):
            index = values_of(layer, adapter).index()
            assert index.dtype == torch.int32
            assert index.shape == layer.base_layer.weight.shape
            by_shape.setdefault(tuple(index.shape), set()).add(index.data_ptr())
    assert by_shape.keys() == {(32, 32), (16, 32), (48, 32), (32, 48)}
    assert {len(pointers) for pointers in by_shape.values()} == {1}
    layer = layers_of(model)[0]
    assert not torch.equal(values_of(layer).index(), values_of(layer, "third").index())


@pytest.mark.parametrize("grouping", ["brt", "row", "col", "skewed"])
def test_a_computed_index_gives_what_a_stored_one_does_bit_for_bit(grouping, llama, ids):
    found = {}
    for index in ("computed", "stored"):
        spec = MosaSpec(rank=4, grouping=grouping, index=index)
        model = spec.inject(llama(), seed=0)
        for layer in layers_of(model):
            nn.init.normal_(values_of(layer).weight, generator=torch.Generator().manual_seed(0))
        logits = model(input_ids=ids).logits
        logits.square().sum().backward()
        found[index] = [logits, *(values_of(layer).weight.grad for layer in layers_of(model))]
        is_stored = isinstance(values_of(layers_of(model)[0]).index(), torch.Tensor)
        assert is_stored == (index == "stored")
    for computed, stored in zip(found["computed"], found["stored"], strict=True):
        assert torch.equal(computed, stored)


def test_only_values_and_config_are_saved(llama, ids, tmp_path):
    model = MosaSpec(groups=21, tessellation_seed=8).inject(llama(), seed=0)
    model(input_ids=ids)
    assert not any("index" in name for name in model.state_dict())
    assert {p.dtype for p in model.state_dict().values()} == {torch.float32}
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert len(saved) == 5 * 5
    assert {tuple(tensor.shape) for tensor in saved.values()} == {(21,)}
    config = MosaConfig.from_pretrained(tmp_path)
    assert (config.num_groups, config.r, config.tessellation_seed) == (21, None, 8)


def test_the_rank_of_the_config_survives_saving(llama, tmp_path):
    MosaSpec(rank=5).inject(llama(), seed=0).save_pretrained(tmp_path)
    config = MosaConfig.from_pretrained(tmp_path)
    assert (config.num_groups, config.r) == (None, 5)


def test_tessellation_seeds_differ(llama, ids):
    found = []
    for seed in (0, 0, 1):
        model = MosaSpec(rank=2, tessellation_seed=seed).inject(llama(), seed=0)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.copy_(torch.linspace(-0.1, 0.1, parameter.numel()))
        found.append(model(input_ids=ids).logits)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_gpt2_has_its_weights_the_other_way_round(ids):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    torch.manual_seed(0)
    base = GPT2LMHeadModel(config).eval()
    model = get_peft_model(
        base, MosaConfig(r=2, target_modules=["c_attn", "c_fc"], init_weights=False)
    ).eval()
    layer = layers_of(model)[0]
    assert layer.base_layer.weight.shape == (16, 48)
    tessellation = values_of(layer).tessellation
    assert (tessellation.out_features, tessellation.in_features) == (48, 16)
    expected = model(input_ids=ids).logits
    assert_close(model.merge_and_unload()(input_ids=ids).logits, expected, **TOLERANCE)


def test_runs_under_autocast():
    layer = adapted(nn.Linear(10, 7), num_groups=13)
    x = torch.randn(4, 10, requires_grad=True)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    # Products of 8-bit mantissas.
    assert_close(found.float(), expected, rtol=0.05, atol=0.1)
    found.float().sum().backward()
    assert torch.isfinite(values_of(layer).weight.grad).all()


def test_moves_between_dtypes_and_stays_right():
    layer = adapted(nn.Linear(10, 7), num_groups=13).double()
    x = torch.randn(4, 10, dtype=torch.float64)
    tessellation = Tessellation(7, 10, 13)
    expected = explicit(layer, x, values_of(layer).weight, tessellation=tessellation)
    assert_close(layer(x), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "mosa: r is 0; allowed is 1 or more"),
        ({"num_groups": 0}, "num_groups is 0; allowed is 1 or more"),
        ({"r": 2, "num_groups": 3}, "r is 2 and num_groups is 3; one of the two sets the size"),
        ({"skew": 1.5}, "skew is 1.5; allowed is above 0 and below 1"),
        ({"tessellation_seed": -1}, "tessellation_seed is -1; allowed is 0 to"),
        ({"grouping": "rows"}, "grouping is 'rows'; allowed is one of brt, row, col, skewed"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        MosaConfig(**values)


def test_more_groups_than_weights_are_refused_with_the_shape():
    with pytest.raises(ValueError, match="groups is 71; allowed is 1 to 70, the weights of a 7 x"):
        adapted(nn.Linear(10, 7), num_groups=71)


# Groups by name.


def test_groups_by_name_are_those_of_each_layer(llama, shape, tmp_path):
    groups = {"q_proj": 7, "down_proj": 1536, "k_proj": 1}
    spec = MosaSpec(targets=("q_proj", "down_proj", "k_proj"), groups=groups)
    model = get_peft_model(llama(), spec.peft_config())
    sizes = {
        name.rpartition(".")[2]: values_of(module).weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, MosaLinear)
    }
    assert sizes == {"q_proj": 7, "down_proj": 1536, "k_proj": 1}
    assert spec.count(shape) == sum(values_of(layer).weight.numel() for layer in layers_of(model))
    for layer in layers_of(model):
        torch.nn.init.normal_(values_of(layer).weight)
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(llama(), tmp_path)
    for one, other in zip(layers_of(model), layers_of(again), strict=True):
        assert_close(values_of(other).weight, values_of(one).weight, rtol=0, atol=0)
        assert values_of(other).tessellation == values_of(one).tessellation


def test_a_layer_without_a_number_of_groups_is_refused(llama):
    config = MosaConfig(num_groups={"q_proj": 7}, target_modules=["q_proj", "k_proj"])
    with pytest.raises(ValueError, match=r"no number for the layer .*k_proj; it names q_proj"):
        get_peft_model(llama(), config)
    with pytest.raises(ValueError, match="q_proj is 0; allowed is 1 or more"):
        MosaConfig(num_groups={"q_proj": 0})


def test_groups_must_name_the_targets(shape):
    spec = MosaSpec(targets=("q_proj", "k_proj"), groups={"q_proj": 1025, "v_proj": 2})
    messages = dict(enumerate(message for _, message in spec.problems(shape)))
    assert len(messages) == 3
    assert "not k_proj, which is a target" in messages[0]
    assert "'v_proj', which is no target" in messages[1]
    assert "1025 groups but q_proj has 1024" in messages[2]
