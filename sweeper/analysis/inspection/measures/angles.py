"""How much the row spaces of two matrices have in common: their principal angles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import subspace_angles
from torch import Tensor

__all__ = ["Overlap", "overlap_of", "random_overlaps"]


@dataclass(frozen=True)
class Overlap:
    """Principal angles between two row spaces."""

    angles: tuple[float, ...]
    """In degrees, 0 to 90, the smallest first."""

    @property
    def smallest(self) -> float:
        """In degrees."""
        return self.angles[0]

    @property
    def mean(self) -> float:
        """In degrees."""
        return float(np.mean(self.angles))

    @property
    def shared(self) -> float:
        """Mean of cos² of the angles: 1 of equal spaces, 0 of orthogonal ones.

        It is ``‖Q_iᵀ Q_j‖² / min(R_i, R_j)``, Eq. 4 of LoRA (arXiv:2106.09685, section 7.2).
        """
        return float(np.mean(np.cos(np.radians(self.angles)) ** 2))


def overlap_of(a: Tensor, b: Tensor) -> Overlap:
    """Returns the principal angles between the row spaces of two matrices.

    By Björck and Golub 1973, which is exact for small angles, too; in float64. A row space has the
    matrix's numerical rank.

    Args:
        a: [P, I], any floating-point dtype, not zero.
        b: [Q, I], the same.
    """
    return _overlap(a.double().cpu().numpy(), b.double().cpu().numpy())


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> Overlap:
    angles = np.degrees(subspace_angles(a.T, b.T))
    return Overlap(tuple(np.sort(angles).tolist()))


def random_overlaps(
    rows: tuple[int, int], columns: int, *, draws: int, seed: int
) -> NDArray[np.float64]:
    """Returns :attr:`Overlap.shared` of independent random spaces, float64 [draws].

    Args:
        rows: P and Q, the dimensions of the two.
        columns: I, of the space they are in.
        draws: how many, each with new spaces.
        seed: of the draws.
    """
    drawn = np.random.default_rng(seed)
    return np.array(
        [
            _overlap(
                drawn.standard_normal((rows[0], columns)),
                drawn.standard_normal((rows[1], columns)),
            ).shared
            for _ in range(draws)
        ]
    )
