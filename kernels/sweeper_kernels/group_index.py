"""The index of a tessellation, for what wants it stored."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper_kernels.backend import choose
from sweeper_kernels.native import native_group_index
from sweeper_kernels.tessellation import Tessellation, group_index_reference

__all__ = ["group_index"]


def group_index(tessellation: Tessellation, *, device: torch.device | str = "cpu") -> Tensor:
    """Returns the group of every weight: Γ, [O, I], int32.

    Args:
        tessellation: the division into groups.
        device: where it is computed and stays; all devices give the same values.
    """
    if choose(torch.empty(0, device=device)) == "native":
        return native_group_index(tessellation)
    return group_index_reference(tessellation, device=device)
