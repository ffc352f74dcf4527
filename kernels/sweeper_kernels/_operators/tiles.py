"""Parts of a weight matrix: W0 + λ[Γ] made, and a gradient summed, without the whole of either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from sweeper_kernels.backend import Backend
from sweeper_kernels.native import NativeSums, Tile, expand
from sweeper_kernels.tessellation import Tessellation

__all__ = ["Sums", "cut_columns", "cut_rows", "make_tile", "start_sums"]

# Weights of a tile (8 MiB in float32): small enough to stay in a third-level cache between being
# made and being used. But a product with fewer than 512 rows or columns runs slower, by a third
# where they are 146 (14336 x 4096, 1,024 tokens); so a tile of long lines is larger.
_WEIGHTS, _LINES = 1 << 21, 512


class Sums(Protocol):
    """Sums over groups that grow tile by tile."""

    def add(self, values: Tensor, tile: Tile) -> None:
        """Adds each value of a tile to its group."""

    def total(self) -> Tensor:
        """Returns the sums so far, [K]."""


class _TorchSums:
    def __init__(self, like: Tensor, index: Tensor | Tessellation, *, groups: int) -> None:
        self._index = index
        dtype = torch.promote_types(like.dtype, torch.float32)
        self._sums = torch.zeros(groups, dtype=dtype, device=like.device)

    def add(self, values: Tensor, tile: Tile) -> None:
        index = _cut_index(self._index, tile, device=values.device)
        self._sums.index_add_(0, index.reshape(-1), values.reshape(-1).to(self._sums.dtype))

    def total(self) -> Tensor:
        return self._sums


def start_sums(
    like: Tensor, index: Tensor | Tessellation, *, groups: int, backend: Backend
) -> Sums:
    """Returns sums of nothing yet.

    Args:
        like: has the device and dtype of the values that will be added.
        index: Γ, [O, I], contiguous; or the tessellation that it follows from.
        groups: K.
        backend: ``native`` or ``torch``.
    """
    if backend == "native":
        return NativeSums(index, groups=groups)
    return _TorchSums(like, index, groups=groups)


def make_tile(
    values: Tensor,
    index: Tensor | Tessellation,
    tile: Tile,
    *,
    weight: Tensor | None,
    dtype: torch.dtype,
    backend: Backend,
) -> Tensor:
    """Returns a tile of W0 + λ[Γ], or of λ[Γ] where weight is None, in ``dtype``.

    The sum is formed in float32 or more, and rounded once.

    Args:
        values: λ, [K].
        index: Γ, [O, I], contiguous; or the tessellation that it follows from.
        tile: which part.
        weight: W0, [O, I], or None.
        dtype: of the result.
        backend: ``native`` or ``torch``.
    """
    o0, o1, i0, i1 = tile
    if backend == "native":
        made = torch.empty(o1 - o0, i1 - i0, dtype=torch.float32, device="cpu")
        is_direct = weight is not None and weight.dtype == torch.float32 and weight.stride(1) == 1
        added = weight if is_direct else None
        expand(values.float().contiguous(), index, tile, weight=added, out=made)
        weight = None if is_direct else weight
    else:
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        made = values[_cut_index(index, tile, device=values.device)]
    if weight is not None:
        made = made + weight[o0:o1, i0:i1]
    return made.to(dtype)


def cut_rows(out_features: int, in_features: int) -> Iterator[Tile]:
    """Yields tiles of whole rows that make up a matrix [O, I]."""
    step = _count_lines(in_features)
    for o0 in range(0, out_features, step):
        yield o0, min(o0 + step, out_features), 0, in_features


def cut_columns(out_features: int, in_features: int) -> Iterator[Tile]:
    """Yields tiles of whole columns that make up a matrix [O, I]."""
    step = _count_lines(out_features)
    for i0 in range(0, in_features, step):
        yield 0, out_features, i0, min(i0 + step, in_features)


def _count_lines(length: int) -> int:
    """Returns how many lines of some length make a tile."""
    return max(_LINES, _WEIGHTS // max(1, length))


def _cut_index(index: Tensor | Tessellation, tile: Tile, *, device: torch.device) -> Tensor:
    """Returns the groups of a tile."""
    o0, o1, i0, i1 = tile
    if isinstance(index, Tensor):
        return index[o0:o1, i0:i1]
    rows = torch.arange(o0, o1, device=device) * index.in_features
    columns = torch.arange(i0, i1, device=device)
    return index.group(index.position(rows[:, None] + columns))
