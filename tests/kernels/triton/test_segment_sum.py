import pytest
import torch

from sweeper_kernels import Tessellation
from sweeper_kernels._triton.segment_sum import copies_of_sums, segment_sum
from tests.kernels.triton.cases import (
    SHAPES,
    assert_sums,
    followed_by,
    index_of,
    name_of,
    tessellations,
)

DTYPES = [torch.float32, torch.float16]


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("tessellation", tessellations(), ids=name_of)
def test_computed(tessellation, dtype, device):
    shape = tessellation.out_features, tessellation.in_features
    values = followed_by(torch.randn(shape, device=device).to(dtype), torch.nan)
    sums = segment_sum(values, tessellation, groups=tessellation.groups)
    assert_sums(sums, values, index_of(tessellation, device), tessellation.groups)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bfloat16], ids=name_of)
@pytest.mark.parametrize("groups", [1, 7, 300, 70_000])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_stored(shape, groups, dtype, device):
    values = followed_by(torch.randn(shape, device=device).to(dtype), torch.nan)
    # With more groups than weights most are empty; the last one never is.
    index = torch.randint(groups, shape, dtype=torch.int32, device=device)
    index[-1, -1] = groups - 1
    assert_sums(segment_sum(values, index, groups=groups), values, index, groups)


@pytest.mark.parametrize("size", [1, 2048, 2049, 4096])
def test_stored_at_the_edges_of_blocks(size, device):
    values = followed_by(torch.randn(size, device=device), torch.nan)
    # What is behind would add NaN to the first group.
    index = followed_by(torch.randint(5, (size,), dtype=torch.int32, device=device), 0)
    assert_sums(segment_sum(values, index, groups=5), values, index, 5)


def test_stored_nothing(device):
    values = torch.ones(0, 5, device=device)
    index = torch.ones(0, 5, dtype=torch.int32, device=device)
    assert segment_sum(values, index, groups=3).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("strategy", ["brt", "col"])
def test_transposed_values(strategy, is_stored, device):
    tessellation = Tessellation(63, 100, 9, strategy)
    index = index_of(tessellation, device)
    values = torch.randn(100, 63, device=device).T
    sums = segment_sum(values, index if is_stored else tessellation, groups=9)
    assert_sums(sums, values, index, 9)


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("strategy", ["brt", "row", "col", "skewed"])
def test_nan_stays_in_its_group(strategy, is_stored, device):
    tessellation = Tessellation(63, 100, 9, strategy)
    index = index_of(tessellation, device)
    values = torch.ones(63, 100, device=device)
    values[5, 7] = torch.nan
    sums = segment_sum(values, index if is_stored else tessellation, groups=9)
    expected = torch.bincount(index.flatten(), minlength=9).float()
    expected[index[5, 7]] = torch.nan
    torch.testing.assert_close(sums, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("strategy", ["brt", "row", "col", "skewed"])
def test_computed_sums_are_the_same_every_time(strategy, device):
    tessellation = Tessellation(64, 100, 3, strategy)
    values = torch.randn(64, 100, device=device)
    first, second = (segment_sum(values, tessellation, groups=3) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("groups", [1, 7, 1000, 65_536, 10**6])
@pytest.mark.parametrize("adds", [1, 6400, 2**24])
def test_copies_pay_for_themselves(groups, adds):
    copies = copies_of_sums(groups, adds=adds)
    assert copies & (copies - 1) == 0
    assert 1 <= copies <= max(1, 65_536 // groups)
    assert copies == 1 or copies * groups * 16 <= adds
