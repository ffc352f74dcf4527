import pytest
import torch
import triton
import triton.language as tl

from sweeper_kernels import Tessellation
from sweeper_kernels._triton.tessellation import (
    KEYS,
    _group_at,
    _group_of,
    _index_of,
    _position_of,
    _run_of,
    grouping_arguments,
)
from tests.kernels.triton.cases import index_of, name_of, tessellations

SHUFFLED = [case for case in tessellations() if case.strategy in ("brt", "skewed")]
# The most weights there may be, by shape and by walking.
LARGEST = [
    Tessellation(46340, 46341, 1000, seed=1),
    Tessellation(1, 2**31 - 1, 7, seed=2),
    Tessellation(32768, 65535, 300, "skewed", seed=3, skew=0.98),
    Tessellation(65536, 32767, 46341, "row"),
    Tessellation(32767, 65536, 46341, "col"),
]


@triton.jit
def _group_kernel(
    out_ptr,
    O,
    I,
    table_ptr,
    key0,
    key1,
    key2,
    key3,
    key4,
    key5,
    GROUPING: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
):
    keys = (key0, key1, key2, key3, key4, key5)
    o, i = tl.arange(0, BLOCK_O)[:, None], tl.arange(0, BLOCK_I)[None, :]
    is_inside = (o < O) & (i < I)
    group = _group_of(o, i, I, is_inside, table_ptr, keys, GROUPING)
    tl.store(out_ptr + o * I + i, group, mask=is_inside)


@triton.jit
def _numbers_kernel(
    numbers_ptr,
    positions_ptr,
    groups_ptr,
    indices_ptr,
    I,
    table_ptr,
    key0,
    key1,
    key2,
    key3,
    key4,
    key5,
    GROUPING: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    keys = (key0, key1, key2, key3, key4, key5)
    n = tl.arange(0, BLOCK_N)
    number = tl.load(numbers_ptr + n)
    position = _position_of((number // I).to(tl.uint32), (number % I).to(tl.uint32), keys, GROUPING)
    tl.store(positions_ptr + n, position.to(tl.int64))
    tl.store(groups_ptr + n, _group_at(position, table_ptr, GROUPING).to(tl.int64))
    if GROUPING.order == "shuffled":
        tl.store(indices_ptr + n, _index_of(position, keys, GROUPING).to(tl.int64))


@triton.jit
def _run_kernel(
    firsts_ptr,
    lasts_ptr,
    table_ptr,
    key0,
    key1,
    key2,
    key3,
    key4,
    key5,
    GROUPING: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    k = tl.arange(0, BLOCK_K)
    first, last = _run_of(k, table_ptr, GROUPING)
    tl.store(firsts_ptr + k, first.to(tl.int64))
    tl.store(lasts_ptr + k, last.to(tl.int64))


@pytest.mark.parametrize("tessellation", tessellations(), ids=name_of)
def test_groups_are_those_of_the_reference(tessellation, device):
    shape = tessellation.out_features, tessellation.in_features
    out = torch.full(shape, -1, dtype=torch.int32, device=device)
    _group_kernel[(1,)](
        out,
        *shape,
        **grouping_arguments(tessellation, device=device),
        BLOCK_O=triton.next_power_of_2(shape[0]),
        BLOCK_I=triton.next_power_of_2(shape[1]),
    )
    assert torch.equal(out, index_of(tessellation, device))


@pytest.mark.parametrize("tessellation", [*LARGEST, *SHUFFLED], ids=name_of)
def test_numbers_go_to_their_positions_and_back(tessellation, device):
    weights = tessellation.weights
    numbers = torch.randint(weights, (128,), device=device)
    numbers[:4] = torch.tensor([0, weights - 1, weights // 2, min(weights - 1, 1)], device=device)
    positions, groups, indices = (torch.full_like(numbers, -1) for _ in range(3))
    _numbers_kernel[(1,)](
        numbers,
        positions,
        groups,
        indices,
        tessellation.in_features,
        **grouping_arguments(tessellation, device=device),
        BLOCK_N=128,
    )
    assert torch.equal(positions, tessellation.position(numbers))
    assert torch.equal(groups, tessellation.group(positions))
    if tessellation.strategy in ("brt", "skewed"):
        assert torch.equal(indices, numbers)


@pytest.mark.parametrize(
    "tessellation",
    [case for case in SHUFFLED if case.groups <= 400],
    ids=name_of,
)
def test_runs_are_those_of_the_reference(tessellation, device):
    firsts, lasts = torch.full((2, 512), -1, device=device)
    _run_kernel[(1,)](firsts, lasts, **grouping_arguments(tessellation, device=device), BLOCK_K=512)
    groups = tessellation.group(torch.arange(tessellation.weights))
    lengths = torch.bincount(groups, minlength=512)
    assert torch.equal((lasts - firsts).cpu(), lengths)
    assert torch.equal(lasts.cpu(), lengths.cumsum(0))


def test_seeds_share_a_compiled_kernel():
    found = [
        grouping_arguments(Tessellation(64, 100, 7, seed=seed), device=torch.device("cpu"))
        for seed in (0, 1, 2**63 - 1)
    ]
    for arguments in found:
        keys = [arguments.pop(key) for key in KEYS]
        # A number outside of this range has another type.
        assert all(-(2**31) <= key < 2**31 for key in keys)
    assert found[0] == found[1] == found[2]
