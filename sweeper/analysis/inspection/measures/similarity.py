"""How similar two representations of the same tokens are: linear CKA, debiased, in a stream.

CKA(X, Y) = HSIC(X, Y) / √(HSIC(X, X) HSIC(Y, Y)) with linear kernels (Kornblith et al. 2019, MASA's
Figure 3). HSIC is the unbiased estimator of Song et al. 2012, Eq. 5: with few tokens the usual one
finds features similar that have nothing to do with each other. A mean of it over batches remains
unbiased (Nguyen et al. 2021, arXiv:2010.15327, Eq. 3), so that memory does not grow with tokens.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["SimilarityStream", "debiased_cka", "unbiased_hsic"]

# The estimator has n (n − 3) below the line.
LEAST_ROWS = 4


def unbiased_hsic(x: Tensor, y: Tensor) -> Tensor:
    """Returns HSIC_1 of linear kernels, [S], float64 (Song et al. 2012, Eq. 5).

    With K = X Xᵀ and L = Y Yᵀ, whose diagonals are set to zero, of n rows:
    [tr(K L) + 1ᵀK1 1ᵀL1 / ((n − 1)(n − 2)) − 2 / (n − 2) 1ᵀK L1] / (n (n − 3)).

    Args:
        x: [S, n, P], any floating-point dtype: S samples of n independent rows, n at least 4.
        y: [S, n, Q], the same rows.
    """
    return _hsic(_kernel(x), _kernel(y))


def _kernel(x: Tensor) -> Tensor:
    """Returns X Xᵀ without its diagonal, [S, n, n], float64.

    The features are centred first. The estimator does not change by that, but sums do not cancel.
    """
    x = x.double()
    x = x - x.mean(dim=1, keepdim=True)
    kernel = x @ x.mT
    return kernel - torch.diag_embed(kernel.diagonal(dim1=1, dim2=2))


def _hsic(k: Tensor, ell: Tensor) -> Tensor:
    rows = k.shape[1]
    if rows < LEAST_ROWS:
        raise ValueError(
            f"HSIC: got {rows} rows; the unbiased estimator needs {LEAST_ROWS} or more; give more"
        )
    of_k, of_l = k.sum(dim=2), ell.sum(dim=2)
    trace = (k * ell).sum(dim=(1, 2))
    means = of_k.sum(dim=1) * of_l.sum(dim=1) / ((rows - 1) * (rows - 2))
    mixed = 2 / (rows - 2) * (of_k * of_l).sum(dim=1)
    return (trace + means - mixed) / (rows * (rows - 3))


def debiased_cka(between: float, of_x: float, of_y: float) -> float:
    """Returns HSIC(X, Y) / √(HSIC(X, X) HSIC(Y, Y)).

    NaN where a representation does not vary, as far as these rows tell: its HSIC is 0 or below.

    Args:
        between: HSIC of the two, or its mean over batches.
        of_x: HSIC of the first with itself.
        of_y: HSIC of the second with itself.
    """
    if of_x <= 0 or of_y <= 0:
        return math.nan
    return between / math.sqrt(of_x * of_y)


class SimilarityStream:
    """HSIC of consecutive layers, batch after batch; it keeps three numbers of each pair.

    Within a batch it keeps a kernel of each layer, [S, n, n], whatever the features' width.
    """

    def __init__(self) -> None:
        self._kernels: dict[str, list[Tensor]] = {}
        self._blocks: dict[str, list[NDArray[np.float64]]] = {}

    def add(self, chain: str, features: Tensor) -> None:
        """Takes what the next layer of a chain has made of the batch.

        Args:
            chain: name of the layers that are compared with each other.
            features: [S, n, P], any floating-point dtype: S samples of n rows. The rows of a sample
                are independent, and all layers see the same rows.
        """
        self._kernels.setdefault(chain, []).append(_kernel(features))

    def end_batch(self) -> None:
        """Makes numbers of the batch, and forgets it."""
        for chain, kernels in self._kernels.items():
            own = [float(_hsic(kernel, kernel).mean()) for kernel in kernels]
            found = [
                (float(_hsic(kernels[i], kernels[i + 1]).mean()), own[i], own[i + 1])
                for i in range(len(kernels) - 1)
            ]
            self._blocks.setdefault(chain, []).append(np.array(found).reshape(-1, 3))
        self._kernels.clear()

    def blocks(self) -> dict[str, NDArray[np.float64]]:
        """Returns HSIC(X, Y), (X, X) and (Y, Y) of each pair, float64 [n, L − 1, 3], by chain.

        Their means over the n batches are unbiased; :func:`debiased_cka` makes CKA of them.
        """
        return {chain: np.stack(found) for chain, found in self._blocks.items()}
