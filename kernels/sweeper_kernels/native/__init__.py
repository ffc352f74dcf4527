"""The kernels for CPUs: C, compiled where it is first used, with the system's compiler."""

from __future__ import annotations

from sweeper_kernels.native._calls import (
    NativeSums,
    Tile,
    expand,
    is_available,
    native_group_index,
)

__all__ = ["NativeSums", "Tile", "expand", "is_available", "native_group_index"]
