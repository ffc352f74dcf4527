"""The leading singular values and vectors of a matrix, the same wherever they are computed."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper_adapters._tuner.config import build_number_error

__all__ = ["decompose_leading", "demand_iterations"]

# Up to this many rows or columns the exact decomposition takes well under a second.
_SMALL = 512
# Columns that the randomised one works with, as a multiple of those asked for, as in LoRA-GA's
# authors' code.
_OVERSAMPLING = 4


def demand_iterations(method: str, iterations: int | None) -> None:
    """Checks the field ``svd_iterations`` of a config.

    Raises:
        ValueError: it is neither 1 or more nor None.
    """
    if iterations is not None and iterations < 1:
        raise build_number_error(method, "svd_iterations", iterations, allowed="1 or more, or None")


@torch.no_grad()
def decompose_leading(
    matrix: Tensor, count: int, *, iterations: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the leading left singular vectors, [P, N], values, [N], and right ones, [N, Q].

    Small matrices are decomposed exactly. Draws nothing from torch's global generator.

    Args:
        matrix: [P, Q], any floating-point dtype; it is decomposed in float32, on its device.
        count: how many: N, at most the smaller of P and Q.
        iterations: subspace iterations of the randomised decomposition; None for the exact one.
    """
    matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    columns = _OVERSAMPLING * count
    smaller = min(matrix.shape)
    if iterations is None or smaller <= max(_SMALL, columns):
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    else:
        left, values, right = _decompose_randomly(matrix, columns, iterations)
    return left[:, :count], values[:count], right[:count]


def _decompose_randomly(
    matrix: Tensor, columns: int, iterations: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns about the leading part: Halko et al. 2011, arXiv:0909.4061, algorithms 4.4 and 5.1.

    What torch.svd_lowrank computes, but with a generator of its own.
    """
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn(matrix.shape[1], columns, generator=generator).to(matrix)
    basis = torch.linalg.qr(matrix @ probes).Q
    for _ in range(iterations):
        basis = torch.linalg.qr(matrix.T @ basis).Q
        basis = torch.linalg.qr(matrix @ basis).Q
    left, values, right = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    return basis @ left, values, right
