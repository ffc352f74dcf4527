from typing import Any

import pytest
import torch
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from sweeper_kernels import (
    Tessellation,
    group_index,
    mosa_linear,
    mosa_linear_reference,
    using,
)

# The same products in float32, summed in another order.
FLOAT32_TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-4}
# W0 + λ, of size 1.4, is rounded to 8 bits, an error of up to 2**-9 of it: in a sum of 64 products
# with a standard deviation of 0.013, of which this is six. Outputs are rounded, too.
BFLOAT16_TOLERANCE: dict[str, Any] = {"rtol": 2e-2, "atol": 8e-2}


@pytest.fixture(params=["native", "torch"], autouse=True)
def backend(request):
    with using(request.param):
        yield request.param


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """A matrix of a test is cut in several tiles, of which the last is smaller."""
    monkeypatch.setattr("sweeper_kernels._operators.tiles._WEIGHTS", 700)
    monkeypatch.setattr("sweeper_kernels._operators.tiles._LINES", 1)


def tensors(x_shape, out_features, groups, *, dtype=torch.float32, strategy="brt"):
    in_features = x_shape[-1]
    tessellation = Tessellation(out_features, in_features, groups, strategy, seed=1)
    given = {
        "x": torch.randn(x_shape, dtype=dtype),
        "values": torch.randn(groups, dtype=torch.promote_types(dtype, torch.float32)),
        "weight": torch.randn(out_features, in_features, dtype=dtype),
        "bias": torch.randn(out_features, dtype=dtype),
    }
    return {name: tensor.requires_grad_() for name, tensor in given.items()}, tessellation


def results(function, given, index):
    """The output and the gradient of every input, for a gradient of the output that varies."""
    if function is mosa_linear_reference:
        index = group_index(index)
    x, values = given["x"], given["values"]
    y = function(x, values, index, weight=given.get("weight"), bias=given.get("bias"))
    grad_y = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    gradients = torch.autograd.grad(y, list(given.values()), grad_y)
    return {"y": y, **{f"grad_{name}": g for name, g in zip(given, gradients, strict=True)}}


def assert_all_close(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        # Compared as one mapping, so that the message has the name and the worst index.
        assert_close({name: tensor}, {name: expected[name]}, **tolerance)


@pytest.mark.parametrize("x_shape", [(1, 1), (63,), (100, 63), (2, 7, 100), (3, 1, 64)])
@pytest.mark.parametrize("out_features", [1, 63, 100])
@pytest.mark.parametrize("parts", [("weight", "bias"), ("weight",), ("bias",), ()])
def test_matches_the_reference(x_shape, out_features, parts):
    groups = max(1, out_features * x_shape[-1] // 5)
    given, index = tensors(x_shape, out_features, groups)
    given = {name: given[name] for name in ("x", "values", *parts)}
    expected = results(mosa_linear_reference, given, index)
    for form in (index, group_index(index)):
        assert_all_close(results(mosa_linear, given, form), expected, **FLOAT32_TOLERANCE)


@pytest.mark.parametrize("strategy", ["row", "col", "skewed"])
@pytest.mark.parametrize("groups", [1, 50, 63 * 20])
def test_matches_the_reference_for_all_groupings(strategy, groups):
    given, index = tensors((4, 63), 20, groups, strategy=strategy)
    found = results(mosa_linear, given, index)
    assert_all_close(found, results(mosa_linear_reference, given, index), **FLOAT32_TOLERANCE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_activations_in_16_bit_with_values_in_float32(dtype):
    given, index = tensors((9, 64), 48, 200, dtype=dtype)
    assert given["values"].dtype == torch.float32
    found = results(mosa_linear, given, index)
    assert [tensor.dtype for tensor in found.values()] == [
        dtype,
        dtype,
        torch.float32,
        dtype,
        dtype,
    ]
    assert_all_close(found, results(mosa_linear_reference, given, index), **BFLOAT16_TOLERANCE)


def test_an_update_below_the_precision_of_16_bit_shows_without_the_weight():
    index = group_index(Tessellation(8, 8, 4))
    x, values = torch.ones(1, 8, dtype=torch.bfloat16), torch.full((4,), 1e-5)
    weight = torch.full((8, 8), 0.02, dtype=torch.bfloat16)
    assert_close(mosa_linear(x, values, index).float(), torch.full((1, 8), 8e-5), rtol=1e-2, atol=0)
    lost = mosa_linear(x, values, index, weight=weight) - x @ weight.T
    assert (lost == 0).all()


def test_float32_activations_with_values_in_16_bit_keep_the_weight_precise():
    given, index = tensors((4, 30), 20, 10)
    given["values"] = given["values"].detach().bfloat16().requires_grad_()
    found = results(mosa_linear, given, index)
    assert found["grad_values"].dtype == torch.bfloat16
    expected = results(mosa_linear_reference, given, index)
    assert_close(found["y"], expected["y"], **FLOAT32_TOLERANCE)


@pytest.mark.parametrize("function", [mosa_linear, mosa_linear_reference])
def test_gradients_are_those_of_finite_differences(function):
    given, index = tensors((2, 3, 5), 4, 6, dtype=torch.float64)
    index = group_index(index)

    def of_tensors(x, values, weight, bias):
        return function(x, values, index, weight=weight, bias=bias)

    assert torch.autograd.gradcheck(of_tensors, tuple(given.values()))


@pytest.mark.parametrize("is_stored", [True, False])
def test_nothing_of_the_size_of_the_weight_is_kept_for_the_backward_pass(is_stored):
    given, index = tensors((2, 30), 20, 10)
    index = group_index(index) if is_stored else index
    given["weight"].requires_grad_(False)
    kept = []

    def keep(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        mosa_linear(given["x"], given["values"], index, weight=given["weight"], bias=given["bias"])
    large = {t.data_ptr() for t in kept if t.numel() >= 600}
    assert large == {given["weight"].data_ptr()} | ({index.data_ptr()} if is_stored else set())


def test_nothing_of_the_size_of_the_weight_is_ever_made():
    given, index = tensors((2, 300), 200, 10)
    given["weight"].requires_grad_(False)
    with torch.profiler.profile(profile_memory=True) as profile:
        y = mosa_linear(given["x"], given["values"], index, weight=given["weight"])
        y.sum().backward()
    made = [event.cpu_memory_usage for event in profile.events()]
    assert 0 < max(made) < given["weight"].nbytes / 2


def test_only_the_gradients_that_are_needed():
    given, index = tensors((2, 30), 20, 10)
    for name in ("x", "weight", "bias"):
        given[name].requires_grad_(False)
    y = mosa_linear(given["x"], given["values"], index, weight=given["weight"], bias=given["bias"])
    y.sum().backward()
    assert given["values"].grad.abs().sum() > 0
    assert all(given[name].grad is None for name in ("x", "weight", "bias"))


def test_runs_under_autocast():
    given, index = tensors((6, 64), 48, 200)
    with torch.autocast("cpu", torch.bfloat16):
        y = mosa_linear(given["x"], given["values"], index, weight=given["weight"])
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert given["x"].grad.dtype == torch.float32
    expected = given["x"] @ (given["weight"] + given["values"][group_index(index).long()]).T
    assert_close(y.float(), expected, rtol=2e-2, atol=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.ones(2, 5)}, "x has 5 features but the matrix is .3, 4."),
        ({"weight": torch.ones(4, 3)}, "matrix is .4, 3. but index is .3, 4."),
        ({"values": torch.ones(2, 2)}, "values have shape .2, 2."),
        ({"values": torch.ones(3)}, "3 groups but the tessellation has 2"),
    ],
)
def test_shapes_that_do_not_fit_are_named(change, message):
    given = {"x": torch.ones(2, 4), "values": torch.ones(2), "weight": torch.ones(3, 4), **change}
    with pytest.raises(ValueError, match=message):
        mosa_linear(given["x"], given["values"], Tessellation(3, 4, 2), weight=given["weight"])


@pytest.mark.parametrize("is_stored", [True, False])
def test_torch_compile_takes_it_whole(is_stored):
    given, index = tensors((2, 7, 30), 20, 10)
    form = group_index(index) if is_stored else index
    compiled = torch.compile(mosa_linear, fullgraph=True, backend="aot_eager")
    expected = results(mosa_linear_reference, given, index)
    found = results(compiled, given, form)
    assert_all_close(found, expected, **FLOAT32_TOLERANCE)


def test_gradients_of_several_passes_add_up():
    given, index = tensors((4, 30), 20, 10)
    for rows in (slice(0, 1), slice(1, 4)):
        mosa_linear(
            given["x"][rows], given["values"], index, weight=given["weight"]
        ).sum().backward()
    y = mosa_linear_reference(
        given["x"], given["values"], group_index(index), weight=given["weight"]
    )
    [expected] = torch.autograd.grad(y.sum(), given["values"])
    assert_close(given["values"].grad, expected, **FLOAT32_TOLERANCE)


def test_operations_are_counted():
    given, index = tensors((2, 7, 30), 20, 10)
    with FlopCounterMode(display=False) as counter:
        y = mosa_linear(given["x"], given["values"], index)
        assert counter.get_total_flops() == 2 * 14 * 30 * 20
        y.sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 14 * 30 * 20


@pytest.mark.parametrize("is_stored", [True, False])
def test_the_operators_are_sound(is_stored):
    given, index = tensors((14, 30), 20, 10)
    given = {name: tensor.detach() for name, tensor in given.items()}
    packed = (group_index(index), [], 0.0) if is_stored else (None, [20, 30, 10, 0, 1], 0.85)
    # Its strides are not those of a new tensor.
    x = torch.randn(30, 14).T
    torch.library.opcheck(
        torch.ops.sweeper.mosa_forward,
        (x, given["values"], *packed, given["weight"], given["bias"]),
    )
    torch.library.opcheck(
        torch.ops.sweeper.mosa_backward,
        (torch.randn(20, 14).T, x, given["values"], *packed, given["weight"], [True, True]),
    )


def test_another_default_dtype_changes_nothing():
    given, index = tensors((4, 30), 20, 10)
    expected = results(mosa_linear, given, index)
    for dtype in (torch.bfloat16, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            found = results(mosa_linear, given, index)
        finally:
            torch.set_default_dtype(torch.float32)
        assert_all_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(0, 30), (2, 0, 30)])
def test_no_tokens(shape):
    given, index = tensors(shape, 20, 10)
    found = results(mosa_linear, given, index)
    assert found["y"].shape == (*shape[:-1], 20)
    assert found["grad_values"].tolist() == [0] * 10
