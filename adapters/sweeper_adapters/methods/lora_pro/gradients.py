r"""LoRA-Pro: gradients of LoRA's factors that together are the closest to the full gradient.

A step along g_A and g_B moves the weight s B A along the *equivalent gradient* s B g_A + s g_B A.
With G the gradient of the weight itself, g_A = s B' G and g_B = s G A', no choice of the two comes
closer to G in the Frobenius norm than (section 2 of the paper)

    g̃_A = s⁻² (B'B)⁻¹ g_A + X A
    g̃_B = s⁻² [I − B (B'B)⁻¹ B'] g_B (AA')⁻¹ − B X

whatever X is, and among these the ones nearest to g_A and g_B have the X of

    B'B X + X AA' = −s⁻² (B'B)⁻¹ g_A A'.

While B is zero, in the first step, they are g_A and s⁻² g_B (AA')⁻¹.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["adjust_gradients", "equivalent_parts", "solve_sylvester"]


def adjust_gradients(
    a: Tensor,
    b: Tensor,
    grad_a: Tensor,
    grad_b: Tensor,
    *,
    scaling: Tensor | float,
    damping: float,
    is_absolute: bool = False,
) -> tuple[Tensor, Tensor]:
    """Returns g̃_A and g̃_B, in the dtype of the gradients; computed in float64.

    B'B and AA' each get ``damping`` times their own largest eigenvalue added to all eigenvalues, so
    that where one is singular, or nearly, no inverse is larger than 1 / (damping * largest); or
    ``damping`` itself.

    Args:
        a: A, [..., R, I].
        b: B, [..., O, R].
        grad_a: g_A, of A's shape.
        grad_b: g_B, of B's shape.
        scaling: s, a number or [..., 1, 1].
        damping: above 0.
        is_absolute: whether it is added as it is, and not times the largest eigenvalue.
    """
    parts = _Parts(a, b, grad_a, grad_b, scaling, damping, is_absolute=is_absolute)
    x = solve_sylvester(parts.gram_b, parts.gram_a, -parts.first @ parts.a.mT)
    new_a = torch.where(parts.gram_b.is_zero, parts.grad_a, parts.first + x @ parts.a)
    return new_a.to(grad_a.dtype), (parts.second - parts.b @ x).to(grad_a.dtype)


def equivalent_parts(
    a: Tensor,
    b: Tensor,
    grad_a: Tensor,
    grad_b: Tensor,
    *,
    scaling: Tensor | float,
    damping: float,
    is_absolute: bool = False,
) -> tuple[Tensor, Tensor]:
    """Returns P, [..., R, I], and Q, [..., O, R]: the equivalent gradient is s (B P + Q A).

    They are g̃_A and g̃_B without X, which changes nothing in it. Arguments and dtypes are those of
    :func:`adjust_gradients`.
    """
    parts = _Parts(a, b, grad_a, grad_b, scaling, damping, is_absolute=is_absolute)
    return parts.first.to(grad_a.dtype), parts.second.to(grad_a.dtype)


class _Parts:
    """What both are made of, in float64: B'B, AA', and g̃_A and g̃_B with X = 0."""

    def __init__(
        self,
        a: Tensor,
        b: Tensor,
        grad_a: Tensor,
        grad_b: Tensor,
        scaling: Tensor | float,
        damping: float,
        *,
        is_absolute: bool,
    ) -> None:
        self.a, self.b, self.grad_a, grad_b = (x.double() for x in (a, b, grad_a, grad_b))
        self.gram_b = _Gram(self.b.mT @ self.b, damping, is_absolute=is_absolute)
        self.gram_a = _Gram(self.a @ self.a.mT, damping, is_absolute=is_absolute)
        outside = grad_b - self.b @ self.gram_b.solve(self.b.mT @ grad_b)
        scale = scaling**-2
        self.first = scale * self.gram_b.solve(self.grad_a)
        self.second = scale * self.gram_a.solve(outside.mT).mT


class _Gram:
    """A symmetric positive matrix M, [..., R, R], by its eigenvalues, damped."""

    def __init__(self, matrix: Tensor, damping: float, *, is_absolute: bool) -> None:
        values, self.vectors = torch.linalg.eigh(matrix)
        largest = values[..., -1:].clamp(min=0)
        self.is_zero = (largest == 0)[..., None]
        damped = values.clamp(min=0) + damping * (1 if is_absolute else largest)
        # Nothing but zeros is ever divided by these.
        self.values = torch.where(largest == 0, 1.0, damped)

    def solve(self, right: Tensor) -> Tensor:
        """Returns M⁻¹ times ``right``, [..., R, N]."""
        solved: Tensor = self.vectors @ ((self.vectors.mT @ right) / self.values[..., None])
        return solved


def solve_sylvester(left: _Gram, right: _Gram, constant: Tensor) -> Tensor:
    """Returns the X, [..., R, R], with L X + X M = C.

    In the bases of eigenvectors of L and M the equation falls apart into single numbers.

    Args:
        left: L.
        right: M.
        constant: C, [..., R, R].
    """
    rotated = left.vectors.mT @ constant @ right.vectors
    rotated = rotated / (left.values[..., :, None] + right.values[..., None, :])
    x: Tensor = left.vectors @ rotated @ right.vectors.mT
    return x
