"""Sums over the groups of a tessellation: what MoSA's gradient is made of."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper_kernels._operators.definition import (
    INDEX_SCHEMA,
    define,
    find_index_shape,
    pack,
    unpack,
)
from sweeper_kernels._operators.tiles import cut_rows, start_sums
from sweeper_kernels.backend import choose
from sweeper_kernels.tessellation import Tessellation

__all__ = ["check_index", "segment_sum", "segment_sum_reference"]


def segment_sum_reference(values: Tensor, index: Tensor, *, groups: int) -> Tensor:
    """Returns the sum of each group, one group at a time.

    Args:
        values: [O, I], floating point.
        index: Γ, group of each value, [O, I], an integer type, from 0 to ``groups - 1``.
        groups: K.

    Returns:
        Sums, [K], float64 for float64 values and float32 for all others.
    """
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    return torch.stack([values[index == k].sum() for k in range(groups)])


def segment_sum(values: Tensor, index: Tensor | Tessellation, *, groups: int) -> Tensor:
    """Returns the sum of each group, in one pass over the values: σ_k = Σ_{Γ[o,i]=k} v[o, i].

    With a tessellation no index is read: on a GPU each group then gathers its own values, in a
    fixed order; with a stored Γ the values are added by atomic operations, in any order. It is the
    gradient of :func:`mosa_linear`, and has none itself.

    Args:
        values: [O, I], floating point.
        index: Γ, group of each value, [O, I], int32, from 0 to ``groups - 1`` (not checked: another
            number writes to memory of others), where empty groups are allowed; or the tessellation
            that it follows from.
        groups: K.

    Returns:
        Sums, [K], float64 for float64 values and float32 for all others; empty groups have zero.

    Raises:
        ValueError: when shapes or numbers of groups do not fit, or a gradient is wanted.
    """
    if values.ndim != 2:
        raise ValueError(
            f"segment_sum: values have shape {tuple(values.shape)}; allowed are two dimensions, "
            "[O, I]; reshape them"
        )
    if values.requires_grad and torch.is_grad_enabled():
        raise ValueError(
            "segment_sum: values require a gradient, but the sum has none; allowed are values "
            "without; detach them, or index and add them by torch's operations"
        )
    check_index("segment_sum", index, shape=tuple(values.shape), groups=groups)
    result: Tensor = _operator(values, *pack(index), groups)
    return result


def check_index(
    operation: str, index: Tensor | Tessellation, *, shape: tuple[int, ...], groups: int
) -> None:
    """Checks that an index fits a matrix and its groups.

    Args:
        operation: name for the message.
        index: Γ, or the tessellation that it follows from.
        shape: [O, I], of the matrix.
        groups: K.

    Raises:
        ValueError: when it does not.
    """
    if isinstance(index, Tensor):
        count = groups
        if index.dtype.is_floating_point or index.dtype.is_complex:
            raise ValueError(
                f"{operation}: index is {index.dtype}; allowed is an integer type, best int32; "
                "convert it"
            )
    else:
        count = index.groups
    found = find_index_shape(index)
    if found != shape:
        raise ValueError(
            f"{operation}: the matrix is {shape} but index is {found}; they must be the same; "
            "pass the Γ, or the tessellation, of this matrix"
        )
    if count != groups:
        raise ValueError(
            f"{operation}: there are {groups} groups but the tessellation has {count}; they must "
            "be the same; pass the tessellation of these groups"
        )


def _segment_sum(
    values: Tensor, index: Tensor | None, tessellation: list[int], skew: float, groups: int
) -> Tensor:
    grouping, backend = unpack(index, tessellation, skew), choose(values)
    if backend == "triton":
        from sweeper_kernels._triton.segment_sum import segment_sum as on_gpu

        summed: Tensor = on_gpu(values, grouping, groups=groups)
        return summed
    sums = start_sums(values, grouping, groups=groups, backend=backend)
    # float32 values need no other form, so there is nothing to make tile by tile.
    is_read_directly = backend == "native" and values.dtype == torch.float32
    whole = (0, values.shape[0], 0, values.shape[1])
    for tile in [whole] if is_read_directly else cut_rows(*values.shape):
        sums.add(values[tile[0] : tile[1]], tile)
    return sums.total()


def _segment_sum_fake(
    values: Tensor, index: Tensor | None, tessellation: list[int], skew: float, groups: int
) -> Tensor:
    del index, tessellation, skew
    return values.new_empty(groups, dtype=torch.promote_types(values.dtype, torch.float32))


_operator = define(
    f"segment_sum(Tensor values, {INDEX_SCHEMA}, int groups) -> Tensor",
    kernel=_segment_sum,
    fake=_segment_sum_fake,
)
