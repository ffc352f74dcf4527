"""The pairs of matrices that BSLoRA shares, and what fits a pair to layers of several sizes.

P and Q are the in- and out-features of a pair; the other letters are those of the legend.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Gate", "Kron", "Pair", "Slice", "Transform"]


def _draw_matrix(rows: int, columns: int) -> nn.Parameter:
    """Returns a matrix, [rows, columns], kaiming_uniform(a=√5)."""
    return nn.Parameter(nn.init.kaiming_uniform_(torch.empty(rows, columns), a=math.sqrt(5)))


def _widen(parameter: nn.Parameter) -> Tensor:
    """Returns it in float32 or more: products in 16 bit would round."""
    return parameter.to(torch.promote_types(parameter.dtype, torch.float32))


def _find_middle(length: int, size: int) -> slice:
    """Returns the ``length`` indices in the middle of ``size``."""
    start = (size - length) // 2
    return slice(start, start + length)


class Pair(nn.Module):
    """A, [R, P], and B, [Q, R]: a LoRA for layers of up to P in- and Q out-features."""

    def __init__(self, rank: int, in_features: int, out_features: int, *, scale: float) -> None:
        super().__init__()
        self.a = _draw_matrix(rank, in_features)
        self.b = nn.Parameter(torch.zeros(out_features, rank))
        self.scale = scale

    def forward(self, x: Tensor, out_features: int) -> Tensor:
        """Returns s B A x, [..., O], by the middle of A and B, for x, [..., I]."""
        a = self.a[:, _find_middle(x.shape[-1], self.a.shape[1])]
        b = self.b[_find_middle(out_features, self.b.shape[0])]
        # Scaled where it is small.
        return F.linear(F.linear(x, a) * self.scale, b)

    def factors(self, in_features: int, out_features: int) -> tuple[Tensor, Tensor]:
        """Returns the middle of A, [R, I], and s B, [O, R], in float32 or more."""
        a = _widen(self.a)[:, _find_middle(in_features, self.a.shape[1])]
        b = _widen(self.b)[_find_middle(out_features, self.b.shape[0])]
        return a, b * self.scale

    def grow(self, in_features: int, out_features: int, *, init_weights: bool) -> None:
        """Makes it as large as a layer of this size needs, with new initial values if it grows."""
        rank, known_in = self.a.shape
        known_out = self.b.shape[0]
        if in_features > known_in or out_features > known_out:
            grown = Pair(
                rank, max(known_in, in_features), max(known_out, out_features), scale=self.scale
            )
            grown.start(init_weights)
            grown.to(self.a.device, self.a.dtype).requires_grad_(self.a.requires_grad)
            self.a, self.b = grown.a, grown.b

    def start(self, init_weights: bool) -> None:
        """Gives B values that show, for tests, unless ``init_weights``."""
        if not init_weights:
            nn.init.kaiming_uniform_(self.b, a=math.sqrt(5))


class Transform(nn.Module):
    """What fits a shared pair to one layer; it owns what is the layer's own."""

    @abstractmethod
    def forward(self, x: Tensor, pair: Pair) -> Tensor:
        """Returns s T(B) T(A) x, [..., O]."""

    @abstractmethod
    def factors(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """Returns T(A), [R, I], and s T(B), [O, R], in float32 or more."""


class Slice(Transform):
    """The middle of the pair; also what a layer's own pair, which has its size, goes through."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features

    def forward(self, x: Tensor, pair: Pair) -> Tensor:
        """Returns the pair's update."""
        result: Tensor = pair(x, self.out_features)
        return result

    def factors(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """Returns the pair's factors."""
        return pair.factors(self.in_features, self.out_features)


class Gate(Transform):
    """Vectors g_1, [1, I], g_2, [P, 1], at the input, and g_3, [1, P], g_4, [O, 1] after it."""

    def __init__(self, in_features: int, out_features: int, size: int) -> None:
        super().__init__()
        self.in_down, self.in_up = _draw_matrix(1, in_features), _draw_matrix(size, 1)
        self.out_down, self.out_up = _draw_matrix(1, size), _draw_matrix(out_features, 1)

    def forward(self, x: Tensor, pair: Pair) -> Tensor:
        """Returns g_4 (g_3 s B A g_2) g_1 x; what is in brackets is one number."""
        number = F.linear(pair(self.in_up.mT, self.in_up.shape[0]), self.out_down)
        return F.linear(F.linear(x, self.in_down) * number, self.out_up)

    def factors(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """Returns factors of rank 1: g_1, and g_4 times a number."""
        a, b = pair.factors(self.in_up.shape[0], self.in_up.shape[0])
        number = (_widen(self.out_down) @ b) @ (a @ _widen(self.in_up))
        return _widen(self.in_down), _widen(self.out_up) @ number


class Kron(Transform):
    """Weights k_A, [1, I / P], and k_B, [O / P, 1], of the repeated pair."""

    def __init__(self, in_features: int, out_features: int, block: int) -> None:
        super().__init__()
        if in_features % block or out_features % block:
            raise ValueError(
                f"bslora: block is {block} but a layer is {in_features} -> {out_features}; block "
                "must divide both; give a smaller block, or leave the layer out of target_modules"
            )
        self.block = block
        self.k_a = _draw_matrix(1, in_features // block)
        self.k_b = _draw_matrix(out_features // block, 1)

    def forward(self, x: Tensor, pair: Pair) -> Tensor:
        """Returns s (k_B ⊗ B) (k_A ⊗ A) x without making these matrices."""
        # torch.matmul takes another way when k is trained than when it is not: other last bits.
        folded = (self.k_a.mT * x.reshape(*x.shape[:-1], -1, self.block)).sum(-2)
        result: Tensor = pair(folded, self.block)
        return (self.k_b * result.unsqueeze(-2)).flatten(-2)

    def factors(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """Returns k_A ⊗ A and s k_B ⊗ B."""
        a, b = pair.factors(self.block, self.block)
        return torch.kron(_widen(self.k_a), a), torch.kron(_widen(self.k_b), b)
