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

from typing import TYPE_CHECKING

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from sweeper_adapters.training import Parameters, Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["LoraProTraining", "adjust_gradients", "solve_sylvester"]


class LoraProTraining(Training):
    """Training of a LoRA with adjusted gradients; the norm is clipped before they are adjusted.

    An adjusted gradient grows with the inverse of its factor, and is thousands of times the plain
    one as long as B is small: a clip of these would say nothing of the loss.
    """

    takes_clipped_gradients = True

    def __init__(self, model: PeftModel, *, damping: float) -> None:
        super().__init__(model)
        self._damping = damping
        self._pairs: dict[tuple[torch.Size, torch.Size], list[_Pair]] = {}
        for layer in model.modules():
            if not isinstance(layer, LoraLayer):
                continue
            for name in layer.active_adapters:
                if name in layer.lora_A:
                    pair = _Pair(layer, name)
                    self._pairs.setdefault((pair.a.shape, pair.b.shape), []).append(pair)

    def before_step(self, parameters: Parameters) -> None:
        """Replaces the gradients of A and B; layers of one shape are done together."""
        for pairs in self._pairs.values():
            a, b = (torch.stack([parameters.value(p) for p in side]) for side in _list_sides(pairs))
            grad_a, grad_b = (
                torch.stack([parameters.gradient(p) for p in side]) for side in _list_sides(pairs)
            )
            scaling = a.new_tensor([pair.scaling for pair in pairs])[:, None, None]
            adjusted = adjust_gradients(
                a, b, grad_a, grad_b, scaling=scaling, damping=self._damping
            )
            for side, gradients in zip(_list_sides(pairs), adjusted, strict=True):
                for parameter, gradient in zip(side, gradients, strict=True):
                    parameters.set_gradient(parameter, gradient)


class _Pair:
    """A and B of one layer, and their scale."""

    def __init__(self, layer: LoraLayer, adapter_name: str) -> None:
        a, b = layer.lora_A[adapter_name].weight, layer.lora_B[adapter_name].weight
        assert isinstance(a, nn.Parameter)
        assert isinstance(b, nn.Parameter)
        self.a, self.b = a, b
        self.scaling: float = layer.scaling[adapter_name]


def _list_sides(pairs: list[_Pair]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    return [pair.a for pair in pairs], [pair.b for pair in pairs]


def adjust_gradients(
    a: Tensor,
    b: Tensor,
    grad_a: Tensor,
    grad_b: Tensor,
    *,
    scaling: Tensor | float,
    damping: float,
) -> tuple[Tensor, Tensor]:
    """Returns g̃_A and g̃_B, in the dtype of the gradients; computed in float64.

    B'B and AA' each get ``damping`` times their own largest eigenvalue added to all eigenvalues, so
    that where one is singular, or nearly, no inverse is larger than 1 / (damping * largest).

    Args:
        a: A, [..., R, I].
        b: B, [..., O, R].
        grad_a: g_A, of A's shape.
        grad_b: g_B, of B's shape.
        scaling: s, a number or [..., 1, 1].
        damping: above 0.
    """
    dtype = grad_a.dtype
    a, b, grad_a, grad_b = (tensor.double() for tensor in (a, b, grad_a, grad_b))
    scale = scaling**-2
    gram_b, gram_a = _Gram(b.mT @ b, damping), _Gram(a @ a.mT, damping)
    first = scale * gram_b.solve(grad_a)
    x = solve_sylvester(gram_b, gram_a, -first @ a.mT)
    outside = grad_b - b @ gram_b.solve(b.mT @ grad_b)
    new_b = scale * gram_a.solve(outside.mT).mT - b @ x
    new_a = torch.where(gram_b.is_zero, grad_a, first + x @ a)
    return new_a.to(dtype), new_b.to(dtype)


class _Gram:
    """A symmetric positive matrix M, [..., R, R], by its eigenvalues, damped."""

    def __init__(self, matrix: Tensor, damping: float) -> None:
        values, self.vectors = torch.linalg.eigh(matrix)
        largest = values[..., -1:].clamp(min=0)
        self.is_zero = (largest == 0)[..., None]
        damped = values.clamp(min=0) + damping * largest
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
