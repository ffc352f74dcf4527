"""MoRA against explicit loops in float64."""

import math
import re
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import nn
from torch.testing import assert_close

from sweeper_adapters import MoraConfig, MoraLinear
from sweeper_adapters.methods import Linear, LoraSpec, ModelShape, MoraSpec, MosaSpec
from sweeper_kernels import mosa_linear

FIVE_TARGETS = MosaSpec().targets
# The same sums in another order; angles of up to a few chunks in the precision of the input.
EXACT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}

# I, O and rank. M divides both, one and none of I and O; fewer chunks are read than there are, or
# results repeated; in the last three M is larger than the layer, and the input repeated whole.
SHAPES = [
    (8, 8, 1),
    (10, 7, 1),
    (7, 10, 1),
    (5, 23, 1),
    (23, 5, 1),
    (3, 63, 2),
    (9, 9, 9),
    (2, 5, 30),
    (1, 1, 1),
]


def adapted(in_features, out_features, **values):
    """One linear layer in float64 with a MoRA adapter of random values."""
    torch.manual_seed(3)
    config = MoraConfig(target_modules=["0"], **values)
    model = get_peft_model(nn.Sequential(nn.Linear(in_features, out_features)).double(), config)
    [layer] = [module for module in model.modules() if isinstance(module, MoraLinear)]
    layer.double()
    with torch.no_grad():
        square_of(layer).normal_()
    return layer


def square_of(layer, adapter="default"):
    return layer.mora_square[adapter].weight


def padded(x, size):
    """x, repeated from its start up to a multiple of ``size``."""
    count = math.ceil(len(x) / size)
    return torch.stack([x[i % len(x)] for i in range(count * size)]), count


def tiled(values, out_features):
    return torch.stack([values[i % len(values)] for i in range(out_features)])


def type_1(x, m, out_features):
    size = len(m)
    x, count = padded(x, size)
    total = sum(x[c * size : (c + 1) * size] for c in range(count))
    return tiled(m @ total, out_features)


def type_6(x, m, out_features):
    size = len(m)
    x, count = padded(x, size)
    results = []
    for position in range(count):
        chunk = x[position * size : (position + 1) * size]
        rotation = torch.zeros(size, size, dtype=x.dtype)
        for pair in range(size // 2):
            angle = position * 10_000.0 ** (-2 * pair / size)
            first, second = pair, pair + size // 2
            rotation[first, first] = rotation[second, second] = math.cos(angle)
            rotation[first, second], rotation[second, first] = -math.sin(angle), math.sin(angle)
        results.append(m @ (rotation @ chunk))
    return tiled(torch.cat(results), out_features)


LOOPS = {1: type_1, 6: type_6}


@pytest.mark.parametrize("mora_type", [1, 6])
@pytest.mark.parametrize(("in_features", "out_features", "rank"), SHAPES)
def test_is_the_loop_with_all_gradients(in_features, out_features, rank, mora_type):
    layer = adapted(in_features, out_features, r=rank, mora_type=mora_type)
    x = torch.randn(2, 3, in_features, dtype=torch.float64, requires_grad=True)
    grad_y = torch.randn(2, 3, out_features, dtype=torch.float64)
    found = layer(x)
    gradients = torch.autograd.grad(found, (x, square_of(layer)), grad_y)

    m = square_of(layer)
    rows = [LOOPS[mora_type](row, m, out_features) for row in x.flatten(0, 1)]
    expected = layer.base_layer(x) + torch.stack(rows).unflatten(0, (2, 3))
    assert_close(found, expected, **EXACT)
    assert_close(gradients, torch.autograd.grad(expected, (x, m), grad_y), **EXACT)


@pytest.mark.parametrize("mora_type", [1, 6])
@pytest.mark.parametrize(("in_features", "out_features", "rank"), SHAPES)
def test_the_merged_matrix_has_what_the_loop_does_to_each_unit_vector(
    in_features, out_features, rank, mora_type
):
    layer = adapted(in_features, out_features, r=rank, mora_type=mora_type)
    unit = torch.eye(in_features, dtype=torch.float64)
    columns = [LOOPS[mora_type](row, square_of(layer), out_features) for row in unit]
    assert_close(layer.delta("default"), torch.stack(columns, dim=1), **EXACT)


@pytest.mark.parametrize("mora_type", [1, 6])
def test_gradients_are_those_of_finite_differences(mora_type):
    layer = adapted(7, 5, r=1, mora_type=mora_type)
    square = layer.mora_square["default"]

    def update(x, weight):
        return torch.func.functional_call(square, {"weight": weight}, (x, 5))

    x = torch.randn(2, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(update, (x, square.weight.detach().requires_grad_()))


@pytest.mark.parametrize("out_features", [4, 7])
def test_type_1_is_mosa_with_a_product_tessellation(out_features):
    # M of 4 divides the input of 12: no input is repeated.
    layer = adapted(12, out_features, r=1, mora_type=1)
    size = len(square_of(layer))
    assert 12 % size == 0
    groups = torch.arange(out_features).unsqueeze(1) % size * size + torch.arange(12) % size
    x = torch.randn(3, 12, dtype=torch.float64, requires_grad=True)
    values = square_of(layer).detach().flatten().requires_grad_()
    expected = mosa_linear(x, values, groups.int())
    found = layer.update("default", x)
    assert_close(found, expected, **EXACT)
    grad_y = torch.randn(3, out_features, dtype=torch.float64)
    [of_square] = torch.autograd.grad(found, square_of(layer), grad_y)
    [of_values] = torch.autograd.grad(expected, values, grad_y)
    assert_close(of_square.flatten(), of_values, **EXACT)


def test_its_rank_is_above_that_of_a_lora_of_its_size():
    delta = adapted(48, 48, r=2, mora_type=6).delta("default")
    assert MoraSpec(rank=2).size(48, 48) == 14
    # Fourteen of each of the three whole chunks, and the last one, cut to six.
    assert torch.linalg.matrix_rank(delta) == 48
    assert torch.linalg.matrix_rank(adapted(48, 48, r=2, mora_type=1).delta("default")) == 14


def test_type_6_reads_no_inputs_past_the_chunks_that_fill_the_output():
    layer = adapted(64, 8, r=1, mora_type=6)
    assert square_of(layer).shape == (8, 8)
    delta = layer.delta("default")
    assert delta[:, :8].abs().min() > 0
    assert not delta[:, 8:].any()
    assert adapted(64, 8, r=1, mora_type=1).delta("default").abs().min() > 0


def test_it_is_no_lora():
    with pytest.raises(ValueError, match=r"'default' of a MoraLinear is not a LoRA; .*peft"):
        adapted(8, 8).lora_factors("default")


def test_dropout_drops_inputs_in_training_only():
    layer = adapted(8, 8, r=1, mora_type=1, dropout=0.5)
    x = torch.randn(64, 8, dtype=torch.float64)
    expected = adapted(8, 8, r=1, mora_type=1).update("default", x)
    assert torch.equal(layer.eval().update("default", x), expected)
    torch.manual_seed(9)
    found = layer.train().update("default", x)
    torch.manual_seed(9)
    kept = nn.functional.dropout(x, 0.5)
    assert 0.3 < (kept == 0).double().mean() < 0.7
    assert torch.equal(found, layer.eval().update("default", kept))


@pytest.mark.parametrize("mora_type", [1, 6])
def test_it_runs_under_autocast(mora_type):
    layer = adapted(10, 7, r=1, mora_type=mora_type).float()
    x = torch.randn(4, 10, requires_grad=True)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    # Products of 8-bit mantissas.
    assert_close(found.float(), expected, rtol=0.05, atol=0.1)
    found.float().sum().backward()
    assert torch.isfinite(square_of(layer).grad).all()


def test_gpt2_has_its_weights_the_other_way_round(ids):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    torch.manual_seed(0)
    base = GPT2LMHeadModel(config).eval()
    before = base(input_ids=ids).logits
    model = get_peft_model(
        base, MoraConfig(r=2, target_modules=["c_attn", "c_fc"], init_weights=False)
    ).eval()
    expected = model(input_ids=ids).logits
    assert (expected - before).abs().max() > 1e-3
    # Rounded once more, and in another order.
    assert_close(model.merge_and_unload()(input_ids=ids).logits, expected, rtol=1e-5, atol=1e-5)


def test_adapters_of_several_ranks_and_types_live_on_one_layer():
    model = get_peft_model(
        nn.Sequential(nn.Linear(10, 7)),
        MoraConfig(r=1, target_modules=["0"], init_weights=False),
    )
    x = torch.randn(3, 10)
    first = model(x)
    model.add_adapter("second", MoraConfig(r=3, mora_type=1, target_modules=["0"]))
    [layer] = [module for module in model.modules() if isinstance(module, MoraLinear)]
    assert square_of(layer).shape == (4, 4)
    assert square_of(layer, "second").shape == (7, 7)
    assert torch.equal(model(x), first)
    model.set_adapter("second")
    assert torch.equal(model(x), layer.base_layer(x))


def decoder(*, key_value, feed_forward, total):
    linears = (
        Linear("q_proj", 4096, 4096),
        Linear("k_proj", 4096, key_value),
        Linear("v_proj", 4096, key_value),
        Linear("up_proj", 4096, feed_forward),
        Linear("down_proj", feed_forward, 4096),
    )
    return ModelShape(32, linears, total)


@pytest.mark.parametrize(
    ("shape", "percent"),
    [
        (decoder(key_value=4096, feed_forward=11008, total=6_738_415_616), "0.8241"),
        (decoder(key_value=1024, feed_forward=14336, total=8_030_261_248), "0.6997"),
    ],
    ids=["Llama-2-7B", "Llama-3-8B"],
)
def test_published_percentages(shape, percent):
    # MoSA, Tables 2 and 3. They are of type 6: type 1 rounds to 0.8254 and 0.7003.
    count = MoraSpec(rank=32, targets=FIVE_TARGETS).count(shape)
    assert f"{100 * count / (shape.total_parameters + count):.4f}" == percent
    assert MoraSpec(rank=32, type=1, targets=FIVE_TARGETS).count(shape) > count
    # As many as LoRA's, up to the rounding of one row and column.
    assert count == pytest.approx(LoraSpec(rank=32, targets=FIVE_TARGETS).count(shape), rel=0.005)


@pytest.mark.parametrize("mora_type", [1, 6])
def test_a_matrix_that_is_larger_than_the_layer_is_a_problem_with_the_largest_rank(
    mora_type, shape
):
    # k_proj is 32 -> 16.
    for rank in range(1, 40):
        spec = MoraSpec(rank=rank, type=mora_type, targets=("k_proj", "q_proj"))
        problems = spec.problems(shape)
        assert bool(problems) == (spec.size(32, 16) > 16)
        for field, message in problems:
            assert field == "rank"
            [(name, highest)] = re.findall(r"but (\w+) is .* its rank is at most (\d+);", message)
            width = {"k_proj": (32, 16), "q_proj": (32, 32)}[name]
            largest = MoraSpec(rank=int(highest), type=mora_type)
            larger = MoraSpec(rank=int(highest) + 1, type=mora_type)
            assert largest.size(*width) <= min(width) < larger.size(*width)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "mora: r is 0; allowed is 1 or more; change r"),
        ({"mora_type": 2}, "mora: mora_type is 2; allowed is 1 or 6; change mora_type"),
        ({"dropout": 1.0}, "mora: dropout is 1.0; allowed is 0 to below 1; change dropout"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        MoraConfig(**values)


def test_the_config_has_the_defaults_of_the_spec():
    config = MoraConfig(target_modules=list(MoraSpec().targets), task_type="CAUSAL_LM")
    assert MoraSpec().peft_config().to_dict() == config.to_dict()
