from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from sweeper_kernels import (
    add_low_rank,
    masa_gate,
    masa_linear,
    masa_linear_reference,
)

# The same products in float32, summed in another order.
FLOAT32_TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-4}
# Outputs of size 10 are rounded to 8 bits (11 in float16) once for the frozen product and once for
# the sum; gradients are sums of a hundred rounded numbers of size 1.
HALF_TOLERANCE: dict[str, Any] = {"rtol": 2e-2, "atol": 1e-1}
SCALE = 0.75
SIZES = [(1, 1, 1), (5, 1, 8), (3, 2, 3), (2, 5, 1), (9, 3, 4)]


def tensors(x_shape, out_features, sizes=None, *, dtype=torch.float32, adapter=None, rank=3):
    """Inputs of a layer; of the routed form with sizes, (experts, up-projections, rank)."""
    in_features, adapter = x_shape[-1], adapter or dtype
    experts, ups, rank = sizes or (1, 1, rank)
    given = {
        "x": torch.randn(x_shape, dtype=dtype),
        "down": torch.randn(experts, rank, in_features, dtype=adapter) / in_features**0.5,
        "up": torch.randn(ups, out_features, rank, dtype=adapter),
        "weight": torch.randn(out_features, in_features, dtype=dtype) / in_features**0.5,
        "bias": torch.randn(out_features, dtype=dtype),
    }
    if sizes is None:
        given |= {"down": given["down"][0], "up": given["up"][0]}
    else:
        given["router"] = torch.randn(experts * ups, in_features, dtype=adapter) / in_features**0.5
    return {name: tensor.requires_grad_() for name, tensor in given.items()}


def results(function, given, **wanted):
    """The output and the gradient of every input, for a gradient of the output that varies."""
    y = function(**given, scale=SCALE)
    grad_y = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    inputs = {name: tensor for name, tensor in given.items() if tensor.requires_grad}
    gradients = torch.autograd.grad(y, list(inputs.values()), grad_y, **wanted)
    return {"y": y, **{f"grad_{name}": g for name, g in zip(inputs, gradients, strict=True)}}


def in_parts(x, down, up, weight, bias=None, router=None, *, scale):
    """The same from what is used where the frozen layer has to be called."""
    base = F.linear(x, weight, bias)
    x = x.to(down.dtype)
    if router is None:
        return add_low_rank(base, F.linear(x, down), up, scale=scale)
    features, scores = F.linear(x, down.flatten(0, 1)), F.linear(x, router)
    u = masa_gate(features, scores, experts=len(down))
    return add_low_rank(base, u, up.transpose(0, 1).flatten(1), scale=scale)


def assert_all_close(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        # Compared as one mapping, so that the message has the name and the worst index.
        assert_close({name: tensor}, {name: expected[name]}, **tolerance)


@pytest.mark.parametrize("function", [masa_linear, in_parts])
@pytest.mark.parametrize("x_shape", [(1, 1), (63,), (100, 63), (2, 7, 100), (3, 1, 64), (0, 5)])
@pytest.mark.parametrize("out_features", [1, 63, 100])
@pytest.mark.parametrize("has_bias", [True, False])
def test_the_sum_matches_the_reference(function, x_shape, out_features, has_bias):
    given = tensors(x_shape, out_features)
    if not has_bias:
        del given["bias"]
    found = results(function, given)
    assert_all_close(found, results(masa_linear_reference, given), **FLOAT32_TOLERANCE)


@pytest.mark.parametrize("function", [masa_linear, in_parts])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("x_shape", [(63,), (100, 63), (2, 7, 100), (0, 5)])
def test_the_routed_form_matches_the_reference(function, sizes, x_shape):
    given = tensors(x_shape, 20, sizes)
    found = results(function, given)
    assert_all_close(found, results(masa_linear_reference, given), **FLOAT32_TOLERANCE)


def test_scores_far_apart_do_not_overflow():
    given = tensors((6, 10), 7, (3, 2, 2))
    with torch.no_grad():
        given["router"] *= 1000
    found = results(masa_linear, given)
    assert all(torch.isfinite(tensor).all() for tensor in found.values())
    assert_close(found["y"], masa_linear_reference(**given, scale=SCALE), **FLOAT32_TOLERANCE)


@pytest.mark.parametrize("sizes", [None, (5, 2, 3)], ids=str)
@pytest.mark.parametrize("function", [masa_linear, masa_linear_reference, in_parts])
def test_gradients_are_those_of_finite_differences(function, sizes):
    given = tensors((2, 2, 5), 4, sizes, dtype=torch.float64)

    def of_tensors(*values):
        return function(**dict(zip(given, values, strict=True)), scale=SCALE)

    assert torch.autograd.gradcheck(of_tensors, tuple(given.values()))


@pytest.mark.parametrize("sizes", [None, (5, 2, 3)], ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("adapter", ["same", "float32"])
def test_a_frozen_layer_in_16_bit(sizes, dtype, adapter):
    wide = dtype if adapter == "same" else torch.float32
    given = tensors((9, 64), 48, sizes, dtype=dtype, adapter=wide)
    found = results(masa_linear, given)
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "y": dtype,
        **{f"grad_{name}": tensor.dtype for name, tensor in given.items()},
    }
    assert_all_close(found, results(masa_linear_reference, given), **HALF_TOLERANCE)


def test_an_adapter_in_float32_is_not_rounded_to_the_16_bit_of_the_frozen_layer():
    given = tensors((9, 64), 48, dtype=torch.bfloat16, adapter=torch.float32)
    given["weight"] = torch.zeros(48, 64, dtype=torch.bfloat16)
    del given["bias"]
    found = results(masa_linear, given)
    expected = results(masa_linear_reference, given)
    assert torch.equal(found["y"], expected["y"])
    # From activations and gradients that are exact in bfloat16.
    for name in ("grad_down", "grad_up"):
        assert_close(found[name], expected[name], **FLOAT32_TOLERANCE)


def test_an_adapter_in_16_bit_on_a_frozen_layer_in_float32():
    given = tensors((9, 64), 48, adapter=torch.bfloat16)
    found = results(masa_linear, given)
    assert_close(found["y"], masa_linear_reference(**given, scale=SCALE), **FLOAT32_TOLERANCE)
    assert found["grad_down"].dtype == torch.bfloat16


@pytest.mark.parametrize("sizes", [None, (5, 2, 3)], ids=str)
def test_parts_run_under_autocast(sizes):
    given = tensors((6, 64), 48, sizes)
    with torch.autocast("cpu", torch.bfloat16):
        found = results(in_parts, given)
    assert found["y"].dtype == torch.bfloat16
    assert all(found[f"grad_{name}"].dtype == torch.float32 for name in given)
    assert_close(found["y"].float(), masa_linear_reference(**given, scale=SCALE), **HALF_TOLERANCE)


@pytest.mark.parametrize(
    "names",
    [("x",), ("down",), ("up",), ("router",), ("weight",), ("bias",), ("x", "up"), ("down", "up")],
    ids="-".join,
)
def test_only_the_gradients_that_are_needed(names):
    given = tensors((2, 30), 20, (3, 2, 2))
    expected = results(masa_linear_reference, given)
    for name, tensor in given.items():
        tensor.requires_grad_(name in names)
    found = results(masa_linear, given)
    assert set(found) == {"y", *(f"grad_{name}" for name in names)}
    assert_all_close(found, {name: expected[name] for name in found}, **FLOAT32_TOLERANCE)


def frozen(given):
    for name in ("weight", "bias"):
        given[name].requires_grad_(False)
    return given


@pytest.mark.parametrize(("sizes", "columns"), [(None, 3), ((5, 2, 3), 5 * 3 + 2 * 8)], ids=str)
def test_only_the_activations_and_h_are_kept_for_the_backward_pass(sizes, columns):
    given = frozen(tensors((2, 300, 40), 50, sizes))
    known = {tensor.data_ptr() for tensor in given.values()}
    kept = []

    def keep(tensor):
        if tensor.data_ptr() not in known:
            kept.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        masa_linear(**given, scale=SCALE)
    assert kept == [(600, columns)]


@pytest.mark.parametrize("sizes", [None, (3, 1, 2)], ids=str)
def test_one_new_tensor_of_the_size_of_each_output(sizes):
    tokens, inside, outside = 600, 96, 128
    given = frozen(tensors((tokens, inside), outside, sizes))
    grad_y = torch.ones(tokens, outside)
    with torch.profiler.profile(profile_memory=True) as profile:
        y = masa_linear(**given, scale=SCALE)
        y.backward(grad_y)
    made = [event.self_cpu_memory_usage for event in profile.events()]
    # y and the gradient of x; the gradient of a weight would be smaller, and is not there, too.
    large = [size for size in made if size >= 4 * inside * outside]
    assert sum(large) == 4 * tokens * (inside + outside)


@pytest.mark.parametrize("sizes", [None, (5, 2, 3)], ids=str)
@pytest.mark.parametrize("function", [masa_linear, in_parts])
def test_torch_compile_takes_it_whole(function, sizes):
    given = tensors((2, 7, 30), 20, sizes)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    expected = results(masa_linear_reference, given)
    assert_all_close(results(compiled, given), expected, **FLOAT32_TOLERANCE)


def test_activations_that_are_not_contiguous():
    given = tensors((7, 30), 20)
    given["x"] = torch.randn(30, 2, 7).movedim(0, -1).requires_grad_()
    found = results(masa_linear, given)
    assert_all_close(found, results(masa_linear_reference, given), **FLOAT32_TOLERANCE)


def test_gradients_of_several_passes_add_up():
    given = tensors((4, 30), 20, (3, 2, 2))
    x = given["x"]
    for rows in (slice(0, 1), slice(1, 4)):
        masa_linear(**given | {"x": x[rows]}, scale=SCALE).sum().backward()
    y = masa_linear_reference(**given, scale=SCALE)
    expected = torch.autograd.grad(y.sum(), list(given.values()))
    for (name, tensor), gradient in zip(given.items(), expected, strict=True):
        assert_close({name: tensor.grad}, {name: gradient}, **FLOAT32_TOLERANCE)


def test_the_update_alone():
    features, up = torch.randn(2, 7, 3), torch.randn(20, 3)
    found = add_low_rank(None, features, up, scale=SCALE)
    assert_close(found, SCALE * features @ up.T, **FLOAT32_TOLERANCE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.ones(2, 5)}, r"x is \(2, 5\), .* allowed are \[..., 4\]"),
        ({"x": torch.ones(2, 4).double()}, "float64.* one dtype"),
        ({"up": torch.ones(1, 3, 3)}, r"\(1, 3, 3\).*allowed is .*\(1, 3, 2\)"),
        ({"down": torch.ones(3, 2, 5)}, r"\(3, 2, 5\).*allowed is .*\(3, 2, 4\)"),
        ({"router": torch.ones(2, 4)}, r"\(2, 4\).*allowed is .*\(3, 4\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(change, message):
    given = {name: tensor.detach() for name, tensor in tensors((2, 4), 3, (3, 1, 2)).items()}
    with pytest.raises(ValueError, match=message):
        masa_linear(**given | change, scale=SCALE)


@pytest.mark.gpu
@pytest.mark.parametrize("sizes", [None, *SIZES], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_gives_the_same(dtype, sizes):
    given = tensors((9, 100), 63, sizes, dtype=dtype)
    expected = results(masa_linear_reference, given)
    on_gpu = {name: t.detach().cuda().requires_grad_() for name, t in given.items()}
    found = {name: t.cpu() for name, t in results(masa_linear, on_gpu).items()}
    tolerance = FLOAT32_TOLERANCE if dtype == torch.float32 else HALF_TOLERANCE
    assert_all_close(found, expected, **tolerance)
