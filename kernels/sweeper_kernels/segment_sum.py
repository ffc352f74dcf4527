"""Sums over the groups of a tessellation: what MoSA's gradient is made of."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["segment_sum", "segment_sum_reference"]


def segment_sum_reference(values: Tensor, index: Tensor, *, groups: int) -> Tensor:
    """Returns the sum of each group, one group at a time.

    Args:
        values: any shape, floating point.
        index: group of each value, same shape, an integer type, from 0 to ``groups - 1``.
        groups: K.

    Returns:
        Sums, [K], float64 for float64 values and float32 for all others.
    """
    values = values.to(_sum_dtype(values))
    return torch.stack([values[index == k].sum() for k in range(groups)])


def segment_sum(values: Tensor, index: Tensor, *, groups: int) -> Tensor:
    """Returns the sum of each group, in one pass over the values.

    On CUDA the order of summation is not fixed unless ``torch.use_deterministic_algorithms`` is on.

    Args:
        values: any shape, floating point.
        index: group of each value, same shape, int32 (about twice as fast as int64), from 0 to
            ``groups - 1``; empty groups are allowed.
        groups: K.

    Returns:
        Sums, [K], float64 for float64 values and float32 for all others; empty groups have zero.

    Raises:
        ValueError: when the shapes of ``values`` and ``index`` differ.
    """
    if values.shape != index.shape:
        raise ValueError(
            f"segment_sum: values have shape {tuple(values.shape)} and index has "
            f"{tuple(index.shape)}; they must be the same; give one group for each value"
        )
    sums = torch.zeros(groups, dtype=_sum_dtype(values), device=values.device)
    return sums.index_add_(0, index.reshape(-1), values.reshape(-1).to(sums.dtype))


def _sum_dtype(values: Tensor) -> torch.dtype:
    return torch.float64 if values.dtype == torch.float64 else torch.float32
