"""How many dimensions an update moves: singular values, and the ranks that are made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Spectrum", "spectrum_of", "spectrum_of_product"]


@dataclass(frozen=True)
class Spectrum:
    """Singular values of a matrix, [O, I], and what they say."""

    values: tuple[float, ...]
    """The singular values σ, the largest first: min(O, I) of them, or R of a product."""
    smallest_side: int
    """min(O, I): the largest rank that it could have."""
    largest_side: int
    """max(O, I)."""

    @property
    def frobenius(self) -> float:
        """√(Σ σ²)."""
        return math.sqrt(math.fsum(x * x for x in self.values))

    @property
    def spectral(self) -> float:
        """The largest σ."""
        return self.values[0] if self.values else 0.0

    @property
    def stable_rank(self) -> float:
        """Σ σ² / σ_1² (Rudelson and Vershynin 2007), at most the rank; 0 of the zero matrix."""
        return (self.frobenius / self.spectral) ** 2 if self.spectral else 0.0

    @property
    def effective_rank(self) -> float:
        """exp(−Σ p ln p) with p = σ / Σ σ (Roy and Vetterli 2007); 0 of the zero matrix."""
        total = math.fsum(self.values)
        if not total:
            return 0.0
        shares = [x / total for x in self.values if x > 0]
        return math.exp(-math.fsum(x * math.log(x) for x in shares))

    def rank_above(self, threshold: float) -> int:
        """Returns how many σ exceed a threshold, as MoSA's Figure 4 counts those above 0.01."""
        return sum(x > threshold for x in self.values)

    @property
    def numerical_rank(self) -> int:
        """How many σ exceed max(O, I) · ε · σ_1, with float32's ε: the others may be rounding."""
        epsilon = torch.finfo(torch.float32).eps
        return self.rank_above(self.largest_side * epsilon * self.spectral)


def spectrum_of(matrix: Tensor) -> Spectrum:
    """Returns the spectrum of a matrix.

    Args:
        matrix: [O, I], any floating-point dtype; it is decomposed in float32, or in its own dtype
            where that is wider.
    """
    matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    values = torch.linalg.svdvals(matrix)
    return Spectrum(tuple(values.tolist()), min(matrix.shape), max(matrix.shape))


def spectrum_of_product(b: Tensor, a: Tensor) -> Spectrum:
    """Returns the spectrum of B A without making it: that of the small factors of QR.

    With B = Q_B R_B and Aᵀ = Q_A R_A the singular values of B A are those of R_B R_Aᵀ.

    Args:
        b: [O, R], any floating-point dtype; computed with in float64.
        a: [I, R] transposed, that is [R, I].
    """
    sides = (b.shape[0], a.shape[1])
    small = torch.linalg.qr(b.double(), mode="r").R @ torch.linalg.qr(a.double().mT, mode="r").R.mT
    values = torch.linalg.svdvals(small) if small.numel() else small.new_zeros(0)
    return Spectrum(tuple(values.tolist()), min(sides), max(sides))
