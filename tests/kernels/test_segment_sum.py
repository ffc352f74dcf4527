import math
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from sweeper_kernels import (
    Tessellation,
    group_index,
    segment_sum,
    segment_sum_reference,
    using,
)

# Sums of up to 7,000 numbers of size 1 in float32, in another order.
SUM_TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-4}


@pytest.fixture(params=["native", "torch"], autouse=True)
def backend(request):
    with using(request.param):
        yield request.param


@pytest.mark.parametrize("shape", [(1, 1), (1, 63), (63, 1), (63, 100), (100, 70)])
@pytest.mark.parametrize("strategy", ["brt", "row", "col", "skewed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_matches_the_reference(shape, strategy, dtype):
    for groups in sorted({1, min(7, shape[0] * shape[1]), shape[0] * shape[1] // 20 or 1}):
        tessellation = Tessellation(shape[0], shape[1], groups, strategy, seed=1)
        index = group_index(tessellation)
        values = torch.randn(shape, dtype=dtype)
        expected = segment_sum_reference(values, index, groups=groups)
        for given in (index, index.long(), tessellation):
            found = segment_sum(values, given, groups=groups)
            assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            assert_close(found, expected, **SUM_TOLERANCE)


# Sums are kept in eight lanes, in float64 and in float32, by the number of groups.
@pytest.mark.parametrize("groups", [3, 4096, 5000, 65536, 70000])
@pytest.mark.parametrize("strategy", ["brt", "skewed"])
def test_many_groups_and_several_threads(groups, strategy):
    tessellation = Tessellation(300, 400, groups, strategy, seed=1)
    index = group_index(tessellation)
    values = torch.randn(300, 400)
    expected = torch.zeros(groups, dtype=torch.float64)
    expected.index_add_(0, index.flatten().long(), values.flatten().double())
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found = [segment_sum(values, given, groups=groups) for given in (index, tessellation)]
    finally:
        torch.set_num_threads(before)
    for sums in found:
        assert_close(sums.double(), expected, **SUM_TOLERANCE)


def test_few_groups_of_many_values_lose_no_precision(backend):
    # 2**24 + 1 is the first whole number that float32 does not have.
    values = torch.ones(4, 4_200_000)
    index = torch.zeros(4, 4_200_000, dtype=torch.int32)
    # The others are of no importance, but make the sums another kind.
    for groups in (1, 5000, 70_000):
        found = segment_sum(values, index, groups=groups)[0].item()
        if backend == "native":
            assert found == 16_800_000
        else:
            # Stops at 2**24.
            assert math.isclose(found, 16_800_000, rel_tol=0.0014)


def test_empty_groups_have_zero():
    index = torch.tensor([[0, 3], [3, 0]], dtype=torch.int32)
    found = segment_sum(torch.ones(2, 2), index, groups=6)
    assert found.tolist() == [2, 0, 0, 2, 0, 0]


def test_every_value_counts_once():
    values = torch.arange(1.0, 13.0).view(3, 4)
    index = group_index(Tessellation(3, 4, 12, seed=2))
    found = segment_sum(values, index, groups=12)
    assert_close(found[index.long()], values, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_that_are_not_contiguous(dtype):
    tessellation = Tessellation(5, 9, 4)
    index = group_index(tessellation)
    wide = torch.randn(5, 30, dtype=dtype)
    for values in (torch.randn(9, 5, dtype=dtype).T, wide[:, 7:16], wide[:, ::3][:, :9]):
        expected = segment_sum_reference(values, index, groups=4)
        for given in (index, index.T.contiguous().T, tessellation):
            assert_close(segment_sum(values, given, groups=4), expected, **SUM_TOLERANCE)


def test_the_operator_is_sound():
    tessellation = Tessellation(5, 9, 4)
    for index in (group_index(tessellation), tessellation):
        packed = (
            (index, [], 0.0) if isinstance(index, torch.Tensor) else (None, [5, 9, 4, 0, 0], 0.85)
        )
        torch.library.opcheck(torch.ops.sweeper.segment_sum, (torch.randn(5, 9), *packed, 4))


@pytest.mark.parametrize(
    ("values", "index", "groups", "message"),
    [
        (
            torch.ones(3, 2),
            torch.zeros(2, 3, dtype=torch.int32),
            1,
            r"matrix is .3, 2. but index is .2, 3.",
        ),
        (torch.ones(3, 2), Tessellation(2, 3, 1), 1, r"matrix is .3, 2. but index is .2, 3."),
        (torch.ones(2, 3), Tessellation(2, 3, 2), 3, "3 groups but the tessellation has 2"),
        (torch.ones(2, 3), torch.zeros(2, 3), 1, "index is torch.float32; allowed is an integer"),
        (torch.ones(2, 3).requires_grad_(), Tessellation(2, 3, 2), 2, "values require a gradient"),
        (torch.ones(3), torch.zeros(3, dtype=torch.int32), 1, "values have shape .3,."),
    ],
)
def test_what_does_not_fit_is_named(values, index, groups, message):
    with pytest.raises(ValueError, match=message):
        segment_sum(values, index, groups=groups)
