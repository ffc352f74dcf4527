"""Γ in registers: the group of a weight from its row and column, and the weights of a group.

The same arithmetic as :mod:`sweeper_kernels.tessellation`, bit for bit, in unsigned 32-bit numbers.
Shapes, sizes of groups and sides of the network are compiled in, so that every division is one by
a constant, which is a product and a shift. Keys are not: seeds share a compiled kernel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from sweeper_kernels.tessellation import Tessellation

__all__ = ["KEYS", "Grouping", "grouping_arguments"]

KEYS = ("key0", "key1", "key2", "key3", "key4", "key5")
"""Parameters that each kernel has for the keys; not to be specialised on."""

_LAST_INT32 = 2**31 - 1


class Grouping(NamedTuple):
    """What a kernel knows of Γ when it is compiled; the default is a Γ that is stored.

    Attributes:
        order: how weights are numbered: ``row``, ``col``, ``shuffled``, or ``stored`` for a Γ that
            is read.
        out_features: O.
        in_features: I.
        rows: P, a side of the Feistel network.
        columns: Q, its other side.
        size: weights of a group, or 0 where the ends of groups are read from a table.
        larger: how many groups, the first ones, have one weight more.
        levels: steps of the search in the table of ends, which has ``2**levels - 1`` entries.
    """

    order: str = "stored"
    out_features: int = 0
    in_features: int = 0
    rows: int = 0
    columns: int = 0
    size: int = 0
    larger: int = 0
    levels: int = 0


def grouping_arguments(index: Tensor | Tessellation, *, device: torch.device) -> dict[str, Any]:
    """Returns what every kernel is told about Γ, by the names of its parameters.

    Args:
        index: Γ, [O, I], int32; or the tessellation that it follows from.
        device: where the kernel runs.
    """
    if isinstance(index, Tessellation):
        return dict(_computed(index, device))
    return {"table_ptr": index.contiguous(), **dict.fromkeys(KEYS, 0), "GROUPING": Grouping()}


@lru_cache(maxsize=1024)
def _computed(tessellation: Tessellation, device: torch.device) -> dict[str, Any]:
    is_skewed = tessellation.strategy == "skewed"
    size, larger = (0, 0) if is_skewed else tessellation.sizes
    ends = tessellation.ends if is_skewed else ()
    levels = len(ends).bit_length()
    # No position is at or past the entries that fill the table up, so the search ends before them.
    padded = [*ends, *[_LAST_INT32] * (2**levels - 1 - len(ends))]
    grouping = Grouping(
        order="shuffled" if tessellation.strategy in ("brt", "skewed") else tessellation.strategy,
        out_features=tessellation.out_features,
        in_features=tessellation.in_features,
        rows=tessellation.sides[0],
        columns=tessellation.sides[1],
        size=size,
        larger=larger,
        levels=levels,
    )
    # As signed numbers, or the type of a parameter would depend on its value.
    signed = [key - 2**32 if key > _LAST_INT32 else key for key in tessellation.keys]
    return {
        "table_ptr": torch.tensor(padded, dtype=torch.int32, device=device) if is_skewed else None,
        **dict(zip(KEYS, signed, strict=True)),
        "GROUPING": grouping,
    }


@triton.jit
def _hash(number, key, SIZE: tl.constexpr):
    mixed = (number ^ key.to(tl.uint32)) * 0x7FEB352D
    mixed ^= mixed >> 15
    mixed *= 0x846CA68B
    return ((mixed >> 16) * SIZE) >> 16


@triton.jit
def _add_modulo(a, b, SIZE: tl.constexpr):
    # Where the sum is below SIZE, taking SIZE away wraps to a larger number.
    total = a + b
    return tl.minimum(total, total - SIZE)


@triton.jit
def _subtract_modulo(a, b, SIZE: tl.constexpr):
    difference = a - b
    return tl.minimum(difference, difference + SIZE)


@triton.jit
def _shuffled(p, q, keys, GROUPING: tl.constexpr):
    """Returns the number p * Q + q permuted; of p [.., 1] the first hash is made once for a row."""
    for turn in tl.static_range(3):
        step = _hash(p, keys[2 * turn], GROUPING.columns)
        q = _add_modulo(q, step, GROUPING.columns)
        step = _hash(q, keys[2 * turn + 1], GROUPING.rows)
        p = _add_modulo(p, step, GROUPING.rows)
    return p * GROUPING.columns + q


@triton.jit
def _unshuffled(number, keys, GROUPING: tl.constexpr):
    """Returns what :func:`_shuffled` takes to ``number``."""
    p = number // GROUPING.columns
    q = number - p * GROUPING.columns
    for turn in tl.static_range(3):
        step = _hash(q, keys[5 - 2 * turn], GROUPING.rows)
        p = _subtract_modulo(p, step, GROUPING.rows)
        step = _hash(p, keys[4 - 2 * turn], GROUPING.columns)
        q = _subtract_modulo(q, step, GROUPING.columns)
    return p * GROUPING.columns + q


@triton.jit
def _is_any(flags):
    return tl.max(flags.to(tl.int32), axis=None) > 0


@triton.jit
def _position_of(o, i, keys, GROUPING: tl.constexpr):
    """Returns the positions, uint32, of weights in rows o and columns i, both uint32."""
    WEIGHTS: tl.constexpr = GROUPING.out_features * GROUPING.in_features
    if GROUPING.order == "row":
        position = o * GROUPING.in_features + i
    elif GROUPING.order == "col":
        position = i * GROUPING.out_features + o
    elif GROUPING.rows == GROUPING.out_features and GROUPING.columns == GROUPING.in_features:
        position = _shuffled(o, i, keys, GROUPING)
    else:
        number = o * GROUPING.in_features + i
        # What hangs over the edge of the matrix must not walk: it might never arrive.
        number = tl.where(number < WEIGHTS, number, 0)
        p = number // GROUPING.columns
        position = _shuffled(p, number - p * GROUPING.columns, keys, GROUPING)
        if GROUPING.rows * GROUPING.columns > WEIGHTS:
            while _is_any(position >= WEIGHTS):
                p = position // GROUPING.columns
                walked = _shuffled(p, position - p * GROUPING.columns, keys, GROUPING)
                position = tl.where(position < WEIGHTS, position, walked)
    return position


@triton.jit
def _index_of(position, keys, GROUPING: tl.constexpr):
    """Returns the row-major indices, uint32, of the weights at shuffled positions, uint32."""
    WEIGHTS: tl.constexpr = GROUPING.out_features * GROUPING.in_features
    number = _unshuffled(tl.where(position < WEIGHTS, position, 0), keys, GROUPING)
    if GROUPING.rows * GROUPING.columns > WEIGHTS:
        while _is_any(number >= WEIGHTS):
            walked = _unshuffled(number, keys, GROUPING)
            number = tl.where(number < WEIGHTS, number, walked)
    return number


@triton.jit
def _group_at(position, table_ptr, GROUPING: tl.constexpr):
    """Returns the groups, int32, of positions, uint32."""
    LEVELS: tl.constexpr = GROUPING.levels
    if LEVELS > 0:
        # Counts the ends at or before the position, from the highest bit of the count down.
        group = tl.zeros_like(position).to(tl.int32)
        for level in tl.static_range(LEVELS):
            step = 1 << (LEVELS - 1 - level)
            end = tl.load(table_ptr + group + (step - 1))
            group += tl.where(end.to(tl.uint32) <= position, step, 0)
    elif GROUPING.larger == 0:
        group = (position // GROUPING.size).to(tl.int32)
    else:
        END: tl.constexpr = GROUPING.larger * (GROUPING.size + 1)
        late = (position - END) // GROUPING.size + GROUPING.larger
        early = position // (GROUPING.size + 1)
        group = tl.where(position < END, early, late).to(tl.int32)
    return group


@triton.jit
def _run_of(group, table_ptr, GROUPING: tl.constexpr):
    """Returns the first position of each group and the one after its last, uint32.

    Groups past the last have an empty run.
    """
    WEIGHTS: tl.constexpr = GROUPING.out_features * GROUPING.in_features
    if GROUPING.levels > 0:
        COUNT: tl.constexpr = (1 << GROUPING.levels) - 1
        before = tl.load(table_ptr + group - 1, mask=(group > 0) & (group <= COUNT), other=0)
        first = tl.where(group <= COUNT, before, WEIGHTS).to(tl.uint32)
        last = tl.load(table_ptr + group, mask=group < COUNT, other=WEIGHTS).to(tl.uint32)
    else:
        # A block of groups may hang over the last, but by no more than fits in 32 bits.
        number = group.to(tl.uint32)
        first = number * GROUPING.size + tl.minimum(number, GROUPING.larger)
        last = first + GROUPING.size + (number < GROUPING.larger).to(tl.uint32)
    return tl.minimum(first, WEIGHTS), tl.minimum(last, WEIGHTS)


@triton.jit
def _group_of(o, i, I, is_inside, table_ptr, keys, GROUPING: tl.constexpr):
    """Returns Γ of a tile, int32: computed, or read where it is stored.

    Rows o are [BLOCK_O, 1] and columns i are [1, BLOCK_I], both int32.
    """
    if GROUPING.order == "stored":
        group = tl.load(table_ptr + o.to(tl.int64) * I + i, mask=is_inside, other=0)
    else:
        position = _position_of(o.to(tl.uint32), i.to(tl.uint32), keys, GROUPING)
        group = _group_at(position, table_ptr, GROUPING)
    return group
