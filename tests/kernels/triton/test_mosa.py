import pytest
import torch

from sweeper_kernels import Tessellation
from sweeper_kernels._triton.mosa import expand, grad_values
from tests.kernels.triton.cases import (
    among_nan,
    assert_sums,
    index_of,
    name_of,
    tessellations,
)
from tests.whole import few

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("tessellation", tessellations(), ids=name_of)
def test_expand(tessellation, is_stored, device):
    index = index_of(tessellation, device)
    values = torch.randn(tessellation.groups, device=device)
    out = expand(values, index if is_stored else tessellation, dtype=torch.float32)
    assert torch.equal(out, values[index.long()])


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("shape", [(100, 70), (5, 1100)], ids=str)
def test_expand_adds_the_weight_and_rounds_once(shape, dtype, device):
    tessellation = Tessellation(shape[0], shape[1], 300, seed=5)
    values = torch.randn(300, device=device)
    weight = among_nan(torch.randn(shape, device=device).to(dtype))
    out = expand(values, tessellation, weight=weight, dtype=dtype)
    expected = weight.float() + values[index_of(tessellation, device).long()]
    assert torch.equal(out, expected.to(dtype))


def test_expand_with_a_transposed_weight_and_values_of_16_bits(device):
    tessellation = Tessellation(63, 100, 50)
    values = torch.randn(50, device=device).half()
    weight = torch.randn(100, 63, device=device).T
    out = expand(values, tessellation, weight=weight, dtype=torch.float32)
    assert torch.equal(out, weight + values.float()[index_of(tessellation, device).long()])


def check_gradient(tessellation, *, tokens, dtype, device, is_stored=False):
    index = index_of(tessellation, device)
    grad_y = torch.randn(tokens, tessellation.out_features, device=device).to(dtype)
    x = torch.randn(tokens, tessellation.in_features, device=device).to(dtype)
    sums = grad_values(
        among_nan(grad_y),
        among_nan(x),
        index if is_stored else tessellation,
        groups=tessellation.groups,
    )
    # Each product of two numbers is a term of its own of the sum.
    assert_sums(
        sums,
        grad_y.double().T @ x.double(),
        index,
        tessellation.groups,
        scale=grad_y.double().abs().T @ x.double().abs(),
    )


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("tessellation", tessellations(), ids=name_of)
def test_gradient(tessellation, is_stored, device):
    tokens = 33
    check_gradient(
        tessellation, tokens=tokens, dtype=torch.float32, device=device, is_stored=is_stored
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("tokens", few([1, 63, 100, 600], 1, 100))
@pytest.mark.parametrize("strategy", ["brt", "row", "col"])
def test_gradient_of_any_number_of_tokens(strategy, tokens, dtype, device):
    # Groups of 700: stripes are added line by line. Two parts of 600 tokens.
    tessellation = Tessellation(100, 70, 10, strategy, seed=1)
    check_gradient(tessellation, tokens=tokens, dtype=dtype, device=device)


@pytest.mark.parametrize("strategy", ["row", "col"])
@pytest.mark.parametrize("groups", [1, 60, 150, 200])
def test_gradient_of_stripes_as_long_as_a_tile(strategy, groups, device):
    # Of 300, 200, 128 with a rest, and 96 weights: around the sizes of the tiles.
    tessellation = Tessellation(160, 120, groups, strategy)
    for dtype in (torch.float32, torch.float16):
        check_gradient(tessellation, tokens=5, dtype=dtype, device=device)


def test_gradient_of_no_token(device):
    tessellation = Tessellation(7, 5, 3)
    sums = grad_values(
        torch.ones(0, 7, device=device), torch.ones(0, 5, device=device), tessellation, groups=3
    )
    assert sums.tolist() == [0.0, 0.0, 0.0]


def test_gradient_of_transposed_inputs(device):
    tessellation = Tessellation(63, 100, 7)
    grad_y, x = torch.randn(63, 9, device=device).T, torch.randn(100, 9, device=device).T
    sums = grad_values(grad_y, x, tessellation, groups=7)
    assert_sums(
        sums, grad_y.T @ x, index_of(tessellation, device), 7, scale=grad_y.abs().T @ x.abs()
    )


def test_nan_of_a_row_stays_in_the_groups_of_the_row(device):
    tessellation = Tessellation(70, 9, 70, "row")
    grad_y, x = torch.ones(5, 70, device=device), torch.ones(5, 9, device=device)
    grad_y[2, 11] = torch.nan
    sums = grad_values(grad_y, x, tessellation, groups=70)
    assert sums.isnan().nonzero().flatten().tolist() == [11]
