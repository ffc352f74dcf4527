"""What the kernels for CPUs are called by, and the structures that they take."""

from __future__ import annotations

import ctypes
from functools import lru_cache

import torch
from torch import Tensor

from sweeper_kernels.native._library import load_library
from sweeper_kernels.tessellation import Tessellation

__all__ = ["NativeSums", "Tile", "expand", "is_available", "native_group_index"]

# Below this many weights a second thread costs more than it saves.
_WEIGHTS_OF_A_THREAD = 1 << 15
# Groups up to which sums are kept in eight lanes (256 KiB a thread), and in float64 (512 KiB): as
# much as a core's second-level cache holds.
_MOST_GROUPS_IN_LANES, _LANES = 1 << 12, 8
_MOST_GROUPS_IN_FLOAT64 = 1 << 16
# Buckets in which skewed groups are looked up (16 KiB).
_BUCKETS_BITS = 12

Tile = tuple[int, int, int, int]
"""Rows from, to, columns from, to: a part of a matrix."""


class _Divisor(ctypes.Structure):
    _fields_ = (("factor", ctypes.c_uint64), ("shift", ctypes.c_uint64))


class _Grouping(ctypes.Structure):
    """Mirrors ``grouping`` of kernels.c."""

    _fields_ = (
        ("stored", ctypes.c_void_p),
        ("ends", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
        ("by_size", _Divisor),
        ("by_size_and_one", _Divisor),
        ("by_columns", _Divisor),
        ("out_features", ctypes.c_uint32),
        ("in_features", ctypes.c_uint32),
        ("rows", ctypes.c_uint32),
        ("columns", ctypes.c_uint32),
        ("keys", ctypes.c_uint32 * 6),
        ("size", ctypes.c_uint32),
        ("larger", ctypes.c_uint32),
        ("bucket_bits", ctypes.c_uint32),
        ("order", ctypes.c_uint32),
    )


def is_available() -> bool:
    """Whether there is a compiler, or a library that one has made; the first call compiles."""
    return load_library() is not None


def native_group_index(tessellation: Tessellation) -> Tensor:
    """Returns Γ, [O, I], int32, as :func:`.group_index_reference` does.

    Args:
        tessellation: the division into groups.
    """
    shape = (tessellation.out_features, tessellation.in_features)
    index = torch.empty(shape, dtype=torch.int32, device="cpu")
    grouping, tile = _describe_index(tessellation), (0, shape[0], 0, shape[1])
    _call("sweeper_group_index", grouping, tile, _point_to(index))
    return index


def expand(
    values: Tensor, index: Tensor | Tessellation, tile: Tile, *, weight: Tensor | None, out: Tensor
) -> None:
    """Writes a tile of λ[Γ], or of W0 + λ[Γ].

    Args:
        values: λ, [K], float32, contiguous.
        index: Γ, [O, I], int32, contiguous; or the tessellation that it follows from.
        tile: which part.
        weight: W0, [O, I], float32, with rows that are contiguous; or None.
        out: of the tile's shape, float32, contiguous.
    """
    part = None if weight is None else weight[tile[0] : tile[1], tile[2] : tile[3]]
    _call(
        "sweeper_expand",
        _describe_index(index),
        tile,
        _point_to(values),
        None if part is None else _point_to(part),
        ctypes.c_int64(0 if part is None else part.stride(0)),
        _point_to(out),
    )


class NativeSums:
    """Sums over K groups that grow tile by tile.

    They are kept in float64; but with more than 65,536 groups that are not stored, of which each is
    small, in float32.
    """

    def __init__(self, index: Tensor | Tessellation, *, groups: int) -> None:
        self._index, self._groups = index, groups
        # Of many skewed groups the last are empty.
        self._used = groups
        if isinstance(index, Tessellation) and index.strategy == "skewed":
            self._used = len(index.ends)
        self._lanes = _LANES if self._used <= _MOST_GROUPS_IN_LANES else 1
        is_double = isinstance(index, Tensor) or self._used <= _MOST_GROUPS_IN_FLOAT64
        self._threads = torch.get_num_threads()
        self._sums = torch.zeros(
            self._threads,
            self._used,
            self._lanes,
            dtype=torch.float64 if is_double else torch.float32,
            device="cpu",
        )

    def add(self, values: Tensor, tile: Tile) -> None:
        """Adds each value of a tile to its group.

        Args:
            values: the tile of a matrix [O, I], in any dtype but float64.
            tile: which part.
        """
        values = values.float()
        if values.stride(1) != 1:
            values = values.contiguous()
        arguments = [
            _point_to(values),
            ctypes.c_int64(values.stride(0)),
            ctypes.c_int64(self._used),
        ]
        if self._sums.dtype == torch.float64:
            name, arguments = "sweeper_add_double", [*arguments, ctypes.c_int(self._lanes)]
        else:
            name = "sweeper_add_float"
        _call(
            name,
            _describe_index(self._index),
            tile,
            *arguments,
            _point_to(self._sums),
            threads=self._threads,
        )

    def total(self) -> Tensor:
        """Returns the sums so far, [K], float32."""
        sums = self._sums.sum(0)
        sums = (sums.sum(1) if self._lanes > 1 else sums.squeeze(1)).float()
        return torch.nn.functional.pad(sums, (0, self._groups - self._used))


def _call(
    name: str, grouping: _Grouping, tile: Tile, *arguments: object, threads: int | None = None
) -> None:
    """Calls a function of the library with at most ``threads`` threads, torch's where None."""
    library = load_library()
    assert library is not None
    weights = (tile[1] - tile[0]) * (tile[3] - tile[2])
    threads = min(threads or torch.get_num_threads(), weights // _WEIGHTS_OF_A_THREAD)
    bounds = (ctypes.c_int64 * 4)(*tile)
    getattr(library, name)(
        ctypes.byref(grouping), bounds, ctypes.c_int(max(1, threads)), *arguments
    )


def _point_to(tensor: Tensor) -> ctypes.c_void_p:
    if tensor.device.type != "cpu":
        raise ValueError(
            f"a kernel for CPUs was given a tensor on {tensor.device}; allowed is the CPU; "
            "move all inputs to one device"
        )
    return ctypes.c_void_p(tensor.data_ptr())


def _describe_index(index: Tensor | Tessellation) -> _Grouping:
    if isinstance(index, Tessellation):
        return _describe_tessellation(index)
    return _Grouping(
        stored=_point_to(index).value, out_features=index.shape[0], in_features=index.shape[1]
    )


@lru_cache(maxsize=1024)
def _describe_tessellation(tessellation: Tessellation) -> _Grouping:
    """Returns the structure of a tessellation; it holds on to what it points to."""
    size, larger = tessellation.sizes
    rows, columns = tessellation.sides
    grouping = _Grouping(
        by_size=_find_divisor(size),
        by_size_and_one=_find_divisor(size + 1),
        by_columns=_find_divisor(columns),
        out_features=tessellation.out_features,
        in_features=tessellation.in_features,
        rows=rows,
        columns=columns,
        keys=tessellation.keys,
        size=size,
        larger=larger,
        order={"row": 1, "col": 2}.get(tessellation.strategy, 0),
    )
    if tessellation.strategy != "skewed":
        return grouping
    grouping.bucket_bits = max(0, tessellation.weights.bit_length() - _BUCKETS_BITS)
    buckets = torch.arange(0, tessellation.weights, 1 << grouping.bucket_bits, device="cpu")
    starts = tessellation.group(buckets).int()
    ends = torch.tensor(tessellation.ends, dtype=torch.int32, device="cpu")
    grouping.starts, grouping.ends = starts.data_ptr(), ends.data_ptr()
    grouping.kept = (starts, ends)
    return grouping


def _find_divisor(divisor: int) -> _Divisor:
    """Returns what divides exactly (Granlund and Montgomery, 1994, theorem 4.2)."""
    shift = 31 + (divisor - 1).bit_length()
    return _Divisor(factor=(1 << shift) // divisor + 1, shift=shift)
