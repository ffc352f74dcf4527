"""Sums over the groups of a tessellation.

Where Γ is computed, its inverse lists the weights of a group, so each program sums some groups by
itself: no atomics, and the same result every time. Each value is then a load of its own from
anywhere, for which memory moves a whole sector, 32 bytes. Where Γ is stored, values and Γ are read
once, in order, and added to their groups by atomics. Stripes need neither: they are reshaped.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sweeper_kernels._triton.tessellation import KEYS, _index_of, _run_of, grouping_arguments
from sweeper_kernels.tessellation import Tessellation

__all__ = ["copies_of_sums", "segment_sum"]

# Sums that stay in the second-level cache (256 KiB) and are enough that few adds meet at one.
_SUMS = 1 << 16
# A copy of the sums has to be cleared and read: it must save more adds than that.
_ADDS_OF_A_COPY = 16
# Values that a program reads at once: 16 bytes of float32 or more for each thread of 4 warps.
_BLOCK_STORED = 2048
_BLOCK_COMPUTED = 1024
# Enough for each of the 132 multiprocessors of an H100 to have several.
_PROGRAMS = 1024
_WARPS = 4


def copies_of_sums(groups: int, *, adds: int) -> int:
    """Returns how many copies of K sums to add to, so that few atomics wait for one another.

    Args:
        groups: K.
        adds: how many numbers are added in all.

    Returns:
        A power of two, 1 for many groups.
    """
    most = min(_SUMS, adds // _ADDS_OF_A_COPY) // max(groups, 1)
    return 1 << (max(most, 1).bit_length() - 1)


def segment_sum(values: Tensor, index: Tensor | Tessellation, *, groups: int) -> Tensor:
    """Returns the sum of each group, [K], float32.

    Args:
        values: [O, I], or any shape where Γ is stored; float32, bfloat16 or float16.
        index: Γ, same shape, int32; or the tessellation that it follows from.
        groups: K.
    """
    values = values.contiguous()
    if isinstance(index, Tessellation):
        if index.strategy in ("row", "col"):
            return _sum_stripes(values if index.strategy == "row" else values.mT, index)
        return _sum_shuffled(values, index)
    copies = copies_of_sums(groups, adds=values.numel())
    sums = torch.zeros(copies, groups, dtype=torch.float32, device=values.device)
    if values.numel():
        with torch.cuda.device_of(sums):
            _segment_sum_stored_kernel[(triton.cdiv(values.numel(), _BLOCK_STORED),)](
                values,
                index.contiguous(),
                sums,
                values.numel(),
                groups,
                COPIES=copies,
                BLOCK_N=_BLOCK_STORED,
                num_warps=_WARPS,
            )
    return sums[0] if copies == 1 else sums.sum(0)


def _sum_stripes(values: Tensor, tessellation: Tessellation) -> Tensor:
    """Returns the sums of runs of ``values``, of which the first have one more."""
    size, larger = tessellation.sizes
    flat, end = values.reshape(-1), larger * (size + 1)
    runs = flat[:end].view(larger, size + 1), flat[end:].view(-1, size)
    return torch.cat([run.sum(1, dtype=torch.float32) for run in runs])


def _sum_shuffled(values: Tensor, tessellation: Tessellation) -> Tensor:
    is_skewed = tessellation.strategy == "skewed"
    groups, weights = tessellation.groups, tessellation.weights
    longest = tessellation.ends[0] if is_skewed else -(-weights // groups)
    # Of skewed groups all that are not empty come first.
    filled = len(tessellation.ends) if is_skewed else groups
    block_n, block_k = _blocks(longest)
    programs = triton.cdiv(filled, block_k)
    # Long groups are shared out, at least two blocks to a program.
    parts = max(1, min(triton.cdiv(_PROGRAMS, programs), longest // (2 * block_n)))
    sums = torch.empty(parts, filled, dtype=torch.float32, device=values.device)
    with torch.cuda.device_of(sums):
        _segment_sum_computed_kernel[(programs, parts)](
            values,
            sums,
            filled,
            **grouping_arguments(tessellation, device=values.device),
            BLOCK_K=block_k,
            BLOCK_N=block_n,
            num_warps=_WARPS,
        )
    total = sums[0] if parts == 1 else sums.sum(0)
    return total if filled == groups else torch.cat([total, total.new_zeros(groups - filled)])


def _blocks(longest: int) -> tuple[int, int]:
    """Returns how many weights of how many groups a program takes at once."""
    if longest >= 4 * _BLOCK_COMPUTED:
        return _BLOCK_COMPUTED, 1
    # Wider blocks waste more lanes on the end of a group.
    block_n = min(triton.next_power_of_2(longest), 64)
    return block_n, _BLOCK_COMPUTED // block_n


@triton.jit
def _segment_sum_stored_kernel(
    values_ptr, index_ptr, sums_ptr, N, K, COPIES: tl.constexpr, BLOCK_N: tl.constexpr
):
    """sums[copy, Γ[n]] += values[n], for a block of consecutive n."""
    start = tl.program_id(0).to(tl.int64) * BLOCK_N
    lane = tl.arange(0, BLOCK_N)
    values_ptr += start
    index_ptr += start
    # Neighbours go to different copies; all copies together have fewer than 2**31 sums.
    sums = sums_ptr + (lane % COPIES) * K
    if start + BLOCK_N <= N:
        # Without a mask the loads are wide, whatever N is.
        value = tl.load(values_ptr + lane).to(tl.float32)
        group = tl.load(index_ptr + lane)
        tl.atomic_add(sums + group, value, sem="relaxed")
    else:
        is_inside = start + lane < N
        value = tl.load(values_ptr + lane, mask=is_inside, other=0).to(tl.float32)
        group = tl.load(index_ptr + lane, mask=is_inside, other=0)
        tl.atomic_add(sums + group, value, mask=is_inside, sem="relaxed")


@triton.jit(do_not_specialize=KEYS)
def _segment_sum_computed_kernel(
    values_ptr,
    sums_ptr,
    K,
    table_ptr,
    key0,
    key1,
    key2,
    key3,
    key4,
    key5,
    GROUPING: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """sums[part, k] = Σ values[n] over a part of the run of positions of group k."""
    keys = (key0, key1, key2, key3, key4, key5)
    k = tl.program_id(0) * BLOCK_K + tl.arange(0, BLOCK_K)
    first, last = _run_of(k, table_ptr, GROUPING)
    # Each part is a whole number of blocks, the last may be shorter.
    blocks = tl.cdiv(last - first, BLOCK_N)
    part = tl.cdiv(blocks, tl.num_programs(1).to(tl.uint32)) * BLOCK_N
    end = last
    first = tl.minimum(first + part * tl.program_id(1).to(tl.uint32), end)
    last = tl.minimum(first + part, end)
    total = tl.zeros((BLOCK_K, BLOCK_N), tl.float32)
    lane = tl.arange(0, BLOCK_N)[None, :].to(tl.uint32)
    for _ in range(tl.max(tl.cdiv(last - first, BLOCK_N).to(tl.int32), axis=0)):
        position = first[:, None] + lane
        n = _index_of(position, keys, GROUPING)
        is_inside = position < last[:, None]
        total += tl.load(values_ptr + n.to(tl.int64), mask=is_inside, other=0).to(tl.float32)
        first += BLOCK_N
    out = sums_ptr + tl.program_id(1).to(tl.int64) * K + k
    tl.store(out, tl.sum(total, axis=1), mask=k < K)
