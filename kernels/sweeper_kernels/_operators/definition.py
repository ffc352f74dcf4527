"""The operations as operators of torch, ``torch.ops.sweeper.*``, which torch.compile leaves whole.

An operator takes tensors and numbers only, so an index travels as a tensor or as the numbers of its
tessellation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, get_args

import torch
from torch import Tensor

from sweeper_kernels.tessellation import Strategy, Tessellation

__all__ = ["INDEX_SCHEMA", "Packed", "define", "find_index_shape", "pack", "unpack"]

_LIBRARY = torch.library.Library("sweeper", "FRAGMENT")  # type: ignore[no-untyped-call]

INDEX_SCHEMA = "Tensor? index, int[] tessellation, float skew"
"""How an operator's schema takes an index."""


Packed = tuple[Tensor | None, list[int], float]
"""An index as the arguments of that schema."""


def define(schema: str, *, kernel: Callable[..., Any], fake: Callable[..., Any]) -> Any:  # noqa: ANN401 - torch's operators have no type
    """Returns a new operator ``torch.ops.sweeper.<name>``; it has no gradient of its own.

    Args:
        schema: ``name(arguments) -> results``, as torch writes them.
        kernel: does the work, for all devices.
        fake: returns empty tensors of the results' shapes and dtypes, for tracing.
    """
    name = schema.partition("(")[0]
    _LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    _LIBRARY.impl(name, kernel, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"sweeper::{name}", fake, lib=_LIBRARY)
    return getattr(torch.ops.sweeper, name)


def pack(index: Tensor | Tessellation) -> Packed:
    """Returns the arguments that stand for an index.

    Args:
        index: Γ, [O, I], or the tessellation that it follows from.
    """
    if isinstance(index, Tensor):
        return index, [], 0.0
    strategy = get_args(Strategy).index(index.strategy)
    numbers = [index.out_features, index.in_features, index.groups, strategy, index.seed]
    return None, numbers, index.skew


def unpack(index: Tensor | None, tessellation: list[int], skew: float) -> Tensor | Tessellation:
    """Returns the index that :func:`pack` took; a stored one int32 and contiguous."""
    return _tessellation(tuple(tessellation), skew) if index is None else index.int().contiguous()


def find_index_shape(index: Tensor | Tessellation) -> tuple[int, ...]:
    """Returns the shape of Γ, [O, I]; of a stored one whatever it is."""
    if isinstance(index, Tessellation):
        return index.out_features, index.in_features
    return tuple(index.shape)


@lru_cache(maxsize=1024)
def _tessellation(numbers: tuple[int, ...], skew: float) -> Tessellation:
    out_features, in_features, groups, strategy, seed = numbers
    name = get_args(Strategy)[strategy]
    return Tessellation(out_features, in_features, groups, name, seed=seed, skew=skew)
