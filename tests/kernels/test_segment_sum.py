from typing import Any

import pytest
import torch
from torch.testing import assert_close

from sweeper_kernels import Tessellation, group_index, segment_sum, segment_sum_reference

# Sums of up to 7,000 numbers of size 1 in float32, in another order.
SUM_TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-4}


@pytest.mark.parametrize("shape", [(1, 1), (1, 63), (63, 1), (63, 100), (100, 70)])
@pytest.mark.parametrize("strategy", ["brt", "row", "col", "skewed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_matches_the_reference(shape, strategy, dtype):
    for groups in sorted({1, min(7, shape[0] * shape[1]), shape[0] * shape[1] // 20 or 1}):
        index = group_index(Tessellation(shape[0], shape[1], groups, strategy, seed=1))
        values = torch.randn(shape, dtype=dtype)
        found = segment_sum(values, index, groups=groups)
        expected = segment_sum_reference(values, index, groups=groups)
        assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert_close(found, expected, **SUM_TOLERANCE)


def test_empty_groups_have_zero():
    index = torch.tensor([[0, 3], [3, 0]], dtype=torch.int32)
    found = segment_sum(torch.ones(2, 2), index, groups=6)
    assert found.tolist() == [2, 0, 0, 2, 0, 0]


def test_every_value_counts_once():
    values = torch.arange(1.0, 13.0).view(3, 4)
    index = group_index(Tessellation(3, 4, 12, seed=2))
    found = segment_sum(values, index, groups=12)
    assert_close(found[index.long()], values, rtol=0, atol=0)


def test_values_that_are_not_contiguous():
    index = group_index(Tessellation(5, 9, 4))
    values = torch.randn(9, 5).T
    found = segment_sum(values, index, groups=4)
    assert_close(found, segment_sum_reference(values, index, groups=4), **SUM_TOLERANCE)


def test_shapes_that_differ_are_named():
    index = torch.zeros(2, 3, dtype=torch.int32)
    with pytest.raises(ValueError, match=r"values have shape \(3, 2\) and index has \(2, 3\)"):
        segment_sum(torch.ones(3, 2), index, groups=1)
