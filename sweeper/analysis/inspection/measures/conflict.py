"""Whether tasks pull the trained parameters in different directions: cosines of their gradients.

The cosine of two mean gradients is biased: noise makes each longer and none of them nearer to the
other, so it is drawn to 0. Here inner products are only those of different batches, whose noise is
independent: ⟨g_s, g_t⟩ is unbiased, and so is ‖g_t‖² from pairs of batches of one task.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.estimates import Estimate

__all__ = ["GradientCosines", "GradientProducts", "GradientStream", "cosines_of"]


# Standard errors that a squared length must be above 0.
_TOLD = 2.0


@dataclass(frozen=True, eq=False)
class GradientProducts:
    """Inner products of the gradients of T tasks in n batches each."""

    with_sums: NDArray[np.float64]
    """⟨g_tb, G_s⟩ with G_s = Σ_b g_sb, float64 [T, n, T]."""
    with_peers: NDArray[np.float64]
    """⟨g_tb, g_sb⟩ of batches of one number, float64 [n, T, T]."""


@dataclass(frozen=True, eq=False)
class GradientCosines:
    """Cosines of the gradients of tasks."""

    cosines: tuple[tuple[Estimate, ...], ...]
    """[T, T]; NaN where the gradient of one of the two is not told from noise."""
    norms: tuple[float, ...]
    """‖E g_t‖ without the part that is noise; 0 where nothing is left of it."""
    are_told: tuple[bool, ...]
    """Whether ‖E g_t‖² is two standard errors above 0: else the cosine divides by noise."""


def cosines_of(products: GradientProducts) -> GradientCosines:
    """Returns the debiased cosines, with a jackknife over batches.

    cos(s, t) = ⟨g_s, g_t⟩ / √(‖g_s‖² ‖g_t‖²), each term a mean over pairs of different batches. The
    jackknife leaves out the batch of one number of all tasks at once.
    """
    whole = _inner(products, None)
    batches = products.with_peers.shape[0]
    without = np.stack([_inner(products, left_out) for left_out in range(batches)])
    squares = np.diag(whole)
    told = squares > _TOLD * _errors(np.diagonal(without, axis1=1, axis2=2))
    found = np.where(np.outer(told, told), _cosines(whole), np.nan)
    errors = _errors(np.stack([_cosines(inner) for inner in without]))
    tasks = range(len(found))
    return GradientCosines(
        tuple(
            tuple(
                Estimate(float(found[s, t]), None if s == t else float(errors[s, t]), batches)
                for t in tasks
            )
            for s in tasks
        ),
        tuple(math.sqrt(max(0.0, float(square))) for square in squares),
        tuple(bool(x) for x in told),
    )


def _errors(without: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the jackknife's standard errors of values [...] from those without each, [n, ...]."""
    count = len(without)
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(np.sqrt((count - 1) / count * spread))


def _inner(products: GradientProducts, left_out: int | None) -> NDArray[np.float64]:
    """Returns ⟨g_s, g_t⟩ over pairs of different batches, [T, T], without one batch."""
    whole, peers = products.with_sums, products.with_peers
    count = peers.shape[0]
    total = whole.sum(axis=1) - peers.sum(axis=0)
    if left_out is not None:
        b = left_out
        # ⟨g_sb, G_t⟩ and ⟨G_s, g_tb⟩ go; ⟨g_sb, g_tb⟩ was not in it, and is in both of them.
        total = total - whole[:, b] - whole[:, b].T + 2 * peers[b]
        count -= 1
    found: NDArray[np.float64] = total / (count * (count - 1))
    return (found + found.T) / 2


def _cosines(inner: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = np.diag(inner)
    norms = np.sqrt(np.where(squares > 0, squares, np.nan))
    return np.asarray(inner / np.outer(norms, norms), dtype=np.float64)


class GradientStream:
    """Gathers the inner products in two passes, holding 2 T gradients whatever the batches."""

    def __init__(self, tasks: int) -> None:
        self._totals: list[Tensor | None] = [None] * tasks
        self._with_sums: list[list[list[float]]] = [[] for _ in range(tasks)]
        self._with_peers: list[list[list[float]]] = []

    def add(self, task: int, gradient: Tensor) -> None:
        """First pass: adds a gradient, [K], to its task's sum."""
        total = self._totals[task]
        self._totals[task] = gradient.clone() if total is None else total.add_(gradient)

    def compare(self, gradients: Sequence[Tensor]) -> None:
        """Second pass: takes the gradients, each [K], of one batch of every task."""
        for task, gradient in enumerate(gradients):
            row = [_product(gradient, total) for total in self._totals if total is not None]
            self._with_sums[task].append(row)
        self._with_peers.append([[_product(g, h) for h in gradients] for g in gradients])

    def products(self) -> GradientProducts:
        """Returns the inner products of all batches."""
        return GradientProducts(np.array(self._with_sums), np.array(self._with_peers))


def _product(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one.double(), other.double()))
