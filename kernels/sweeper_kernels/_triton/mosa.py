"""MoSA's layer: W0 + λ[Γ], and the gradient of λ without a gradient of the weights.

The forward pass is :func:`expand` and torch's matrix product, not one kernel: a product takes each
tile of the weights once for every block of tokens, and would make λ[Γ] as many times (a block of
128 tokens: 32 times for 4,096). Made once, it is one more pass over memory.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sweeper_kernels._triton.segment_sum import copies_of_sums
from sweeper_kernels._triton.tessellation import KEYS, _group_of, grouping_arguments
from sweeper_kernels.tessellation import Tessellation

__all__ = ["expand", "grad_values"]

# Tile of an expansion: 16 weights for each thread of 4 warps.
_EXPAND_O, _EXPAND_I, _EXPAND_WARPS = 4, 512, 4
# Tiles of a gradient: O, I, tokens, warps, stages of the pipeline; of 16 bits on tensor cores, and
# of float32 without them.
_TILE_16 = (128, 128, 32, 8, 4)
_TILE_32 = (64, 64, 16, 4, 3)
# Two for each of the 132 multiprocessors of an H100.
_PROGRAMS = 264
# Tokens of a program, at least: below, adding its tile takes longer than making it.
_TOKENS = 256


def expand(
    values: Tensor,
    index: Tensor | Tessellation,
    *,
    weight: Tensor | None = None,
    dtype: torch.dtype,
) -> Tensor:
    """Returns λ[Γ], or W0 + λ[Γ], [O, I], added in float32 and rounded once.

    Args:
        values: λ, [K], floating point.
        index: Γ, [O, I], int32; or the tessellation that it follows from.
        weight: W0, [O, I], floating point, or None.
        dtype: of the result, floating point.
    """
    if isinstance(index, Tessellation):
        O, I = index.out_features, index.in_features
    else:
        O, I = index.shape
    made = torch.float32 if _is_inexact(dtype) else dtype
    out = torch.empty(O, I, dtype=made, device=values.device)
    if weight is not None and weight.stride(1) != 1:
        weight = weight.contiguous()
    if out.numel():
        with torch.cuda.device_of(out):
            _expand_kernel[(triton.cdiv(O, _EXPAND_O) * triton.cdiv(I, _EXPAND_I),)](
                values.contiguous(),
                weight,
                out,
                O,
                I,
                0 if weight is None else weight.stride(0),
                **grouping_arguments(index, device=values.device),
                BLOCK_O=_EXPAND_O,
                BLOCK_I=_EXPAND_I,
                num_warps=_EXPAND_WARPS,
            )
    return out.to(dtype)


def grad_values(grad_y: Tensor, x: Tensor, index: Tensor | Tessellation, *, groups: int) -> Tensor:
    """Returns the gradient of λ, [K], float32: the sum over each group of dYᵀX.

    dYᵀX, [O, I], is never in memory: each program makes one tile of it and adds that to the groups.

    Args:
        grad_y: dY, [T, O], float32, bfloat16 or float16.
        x: [T, I], of the same dtype.
        index: Γ, [O, I], int32; or the tessellation that it follows from.
        groups: K.
    """
    T, O = grad_y.shape
    I = x.shape[1]
    block_o, block_i, block_t, warps, stages = _TILE_32 if x.element_size() > 2 else _TILE_16
    tiles = triton.cdiv(O, block_o) * triton.cdiv(I, block_i)
    parts = max(1, min(triton.cdiv(_PROGRAMS, tiles), T // _TOKENS))
    copies = copies_of_sums(groups, adds=O * I * parts)
    sums = torch.zeros(copies, groups, dtype=torch.float32, device=x.device)
    if T and O and I:
        grad_y = grad_y if grad_y.stride(1) == 1 else grad_y.contiguous()
        x = x if x.stride(1) == 1 else x.contiguous()
        with torch.cuda.device_of(sums):
            _grad_values_kernel[(tiles, parts)](
                grad_y,
                x,
                sums,
                T,
                O,
                I,
                groups,
                grad_y.stride(0),
                x.stride(0),
                **grouping_arguments(index, device=x.device),
                COPIES=copies,
                UPCAST=_is_inexact(x.dtype),
                BLOCK_T=block_t,
                BLOCK_O=block_o,
                BLOCK_I=block_i,
                num_warps=warps,
                num_stages=stages,
            )
    return sums[0] if copies == 1 else sums.sum(0)


def _is_inexact(dtype: torch.dtype) -> bool:
    """Whether a kernel must be spared arithmetic in this dtype.

    Triton's interpreter truncates to bfloat16 where a GPU rounds, and multiplies it wrongly.
    """
    return dtype == torch.bfloat16 and not isinstance(_grad_values_kernel, triton.JITFunction)


@triton.jit(do_not_specialize=KEYS)
def _expand_kernel(
    values_ptr,
    weight_ptr,
    out_ptr,
    O,
    I,
    stride_wo,
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
    """out[o, i] = λ[Γ[o, i]] + W0[o, i], for one tile."""
    keys = (key0, key1, key2, key3, key4, key5)
    columns = tl.cdiv(I, BLOCK_I)
    o = (tl.program_id(0) // columns) * BLOCK_O + tl.arange(0, BLOCK_O)[:, None]
    i = (tl.program_id(0) % columns) * BLOCK_I + tl.arange(0, BLOCK_I)[None, :]
    is_inside = (o < O) & (i < I)
    group = _group_of(o, i, I, is_inside, table_ptr, keys, GROUPING)
    total = tl.load(values_ptr + group, mask=is_inside, other=0).to(tl.float32)
    if weight_ptr is not None:
        weight = tl.load(weight_ptr + o.to(tl.int64) * stride_wo + i, mask=is_inside, other=0)
        total += weight.to(tl.float32)
    out = out_ptr + o.to(tl.int64) * I + i
    tl.store(out, total.to(out_ptr.dtype.element_ty), mask=is_inside)


@triton.jit
def _product(
    grad_y_ptr,
    x_ptr,
    o,
    i,
    T,
    O,
    I,
    stride_gt,
    stride_xt,
    UPCAST: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
):
    """Returns rows o and columns i of dYᵀX, over this program's part of the tokens."""
    t = tl.arange(0, BLOCK_T)
    blocks = tl.cdiv(tl.cdiv(T, BLOCK_T), tl.num_programs(1))
    first = tl.program_id(1) * blocks * BLOCK_T
    last = tl.minimum(T, first + blocks * BLOCK_T)
    # Read as its transpose, so that the product needs no other step.
    grad_y_ptrs = grad_y_ptr + (first + t).to(tl.int64)[None, :] * stride_gt + o[:, None]
    x_ptrs = x_ptr + (first + t).to(tl.int64)[:, None] * stride_xt + i[None, :]
    tile = tl.zeros((BLOCK_O, BLOCK_I), tl.float32)
    for start in range(first, last, BLOCK_T):
        is_token = start + t < last
        grad_y = tl.load(grad_y_ptrs, mask=is_token[None, :] & (o < O)[:, None], other=0)
        x = tl.load(x_ptrs, mask=is_token[:, None] & (i < I)[None, :], other=0)
        if UPCAST:
            grad_y, x = grad_y.to(tl.float32), x.to(tl.float32)
        tile = tl.dot(grad_y, x, tile, input_precision="ieee")
        grad_y_ptrs += tl.cast(stride_gt, tl.int64) * BLOCK_T
        x_ptrs += tl.cast(stride_xt, tl.int64) * BLOCK_T
    return tile


@triton.jit
def _halves(tile):
    """Returns the left and the right half of a tile."""
    parts = tl.reshape(tile, (tile.shape[0], 2, tile.shape[1] // 2))
    return tl.split(tl.permute(parts, (0, 2, 1)))


@triton.jit
def _add_lines(part, group, first, is_line, is_inside, K, sums_ptr, AXIS: tl.constexpr):
    """Adds a part of a tile whose groups rise by one at most along each line, from ``first``."""
    early = tl.sum(tl.where(is_inside & (group == first), part, 0), AXIS, keep_dims=True)
    late = tl.sum(tl.where(is_inside & (group != first), part, 0), AXIS, keep_dims=True)
    tl.atomic_add(sums_ptr + first, early, mask=is_line, sem="relaxed")
    # Zero where the whole line is of one group.
    tl.atomic_add(sums_ptr + first + 1, late, mask=is_line & (first + 1 < K), sem="relaxed")


@triton.jit
def _add_part(
    part,
    first_o,
    first_i,
    O,
    I,
    K,
    sums_ptr,
    table_ptr,
    keys,
    GROUPING: tl.constexpr,
    COPIES: tl.constexpr,
):
    """Adds the weights of a part of a tile to their groups."""
    o = first_o + tl.arange(0, part.shape[0])[:, None]
    i = first_i + tl.arange(0, part.shape[1])[None, :]
    is_inside = (o < O) & (i < I)
    group = _group_of(o, i, I, is_inside, table_ptr, keys, GROUPING)
    # Neighbours go to different copies; all copies together have fewer than 2**31 sums.
    if GROUPING.order == "row" and GROUPING.size >= part.shape[1]:
        start = tl.full((1, 1), first_i, tl.int32)
        is_line = (o < O) & (start < I)
        first = _group_of(o, start, I, is_line, table_ptr, keys, GROUPING)
        sums = sums_ptr + (o & (COPIES - 1)) * K
        _add_lines(part, group, first, is_line, is_inside, K, sums, AXIS=1)
    elif GROUPING.order == "col" and GROUPING.size >= part.shape[0]:
        start = tl.full((1, 1), first_o, tl.int32)
        is_line = (start < O) & (i < I)
        first = _group_of(start, i, I, is_line, table_ptr, keys, GROUPING)
        sums = sums_ptr + (i & (COPIES - 1)) * K
        _add_lines(part, group, first, is_line, is_inside, K, sums, AXIS=0)
    else:
        copy = (o * part.shape[1] + i) & (COPIES - 1)
        tl.atomic_add(sums_ptr + (copy * K + group), part, mask=is_inside, sem="relaxed")


@triton.jit(do_not_specialize=KEYS)
def _grad_values_kernel(
    grad_y_ptr,
    x_ptr,
    sums_ptr,
    T,
    O,
    I,
    K,
    stride_gt,
    stride_xt,
    table_ptr,
    key0,
    key1,
    key2,
    key3,
    key4,
    key5,
    GROUPING: tl.constexpr,
    COPIES: tl.constexpr,
    UPCAST: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
):
    """sums[copy, Γ[o, i]] += Σ_t dY[t, o] x[t, i], for one tile and a part of the tokens."""
    keys = (key0, key1, key2, key3, key4, key5)
    row, column = tl.swizzle2d(
        tl.program_id(0) // tl.cdiv(I, BLOCK_I),
        tl.program_id(0) % tl.cdiv(I, BLOCK_I),
        tl.cdiv(O, BLOCK_O),
        tl.cdiv(I, BLOCK_I),
        8,
    )
    first_o, first_i = row * BLOCK_O, column * BLOCK_I
    o, i = first_o + tl.arange(0, BLOCK_O), first_i + tl.arange(0, BLOCK_I)
    tile = _product(
        grad_y_ptr, x_ptr, o, i, T, O, I, stride_gt, stride_xt, UPCAST, BLOCK_T, BLOCK_O, BLOCK_I
    )
    # A quarter at a time, or the groups of all weights would not fit in the registers.
    left, right = _halves(tile)
    for half in tl.static_range(2):
        parts = _halves(left if half == 0 else right)
        for quarter in tl.static_range(2):
            i = first_i + (2 * half + quarter) * (BLOCK_I // 4)
            part = parts[quarter]
            _add_part(part, first_o, i, O, I, K, sums_ptr, table_ptr, keys, GROUPING, COPIES)
