"""MoSA's linear layer: every weight is moved by the trained value of its group.

    ΔW[o, i] = λ[Γ[o, i]]          y = x (W0 + ΔW)ᵀ + bias
    g_x = g_y (W0 + ΔW)            g_λ = segment_sum(g_yᵀ x, Γ)

ΔW has the size of W0 and is made of K numbers, so it is made again in the backward pass instead of
being kept for it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from sweeper_kernels.segment_sum import segment_sum

__all__ = ["mosa_linear", "mosa_linear_reference"]


def mosa_linear_reference(
    x: Tensor,
    values: Tensor,
    index: Tensor,
    *,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Returns what :func:`mosa_linear` does, by plain indexing and autograd, in float32 or more."""
    dtype = torch.promote_types(values.dtype, torch.float32)
    delta = values.to(dtype)[index.long()]
    total = delta if weight is None else weight.to(dtype) + delta
    return F.linear(x.to(dtype), total, None if bias is None else bias.to(dtype)).to(x.dtype)


def mosa_linear(
    x: Tensor,
    values: Tensor,
    index: Tensor,
    *,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Returns ``x (W0 + λ[Γ])ᵀ + bias``, or ``x λ[Γ]ᵀ + bias`` without W0.

    The matrix products are in the dtype of ``x``. In a 16-bit dtype the sum W0 + ΔW rounds a small
    ΔW away: leave ``weight`` out there, and add the result to that of the frozen layer.

    Args:
        x: activations, [..., I], floating point.
        values: λ, [K], floating point, usually float32.
        index: Γ, [O, I], int32, from 0 to K-1.
        weight: W0, [O, I], or None for the update alone.
        bias: [O], or None.

    Returns:
        [..., O], dtype of ``x``.

    Raises:
        ValueError: when a shape does not fit Γ.
    """
    _check(x, values, index, weight)
    result: Tensor = _MosaLinear.apply(x, values, index, weight, bias)  # type: ignore[no-untyped-call]
    return result


def _check(x: Tensor, values: Tensor, index: Tensor, weight: Tensor | None) -> None:
    if values.ndim != 1 or index.ndim != 2:
        raise ValueError(
            f"mosa_linear: values have {values.ndim} dimensions and index has {index.ndim}; "
            "allowed are [K] and [O, I]; pass λ and Γ of one weight matrix"
        )
    if x.shape[-1] != index.shape[1]:
        raise ValueError(
            f"mosa_linear: x has {x.shape[-1]} features but index is {tuple(index.shape)}; "
            f"the last dimension of x must be {index.shape[1]}; pass the Γ of this layer"
        )
    if weight is not None and weight.shape != index.shape:
        raise ValueError(
            f"mosa_linear: weight is {tuple(weight.shape)} but index is {tuple(index.shape)}; "
            "they must be the same; pass the Γ of this layer"
        )


def _total(values: Tensor, index: Tensor, weight: Tensor | None, *, dtype: torch.dtype) -> Tensor:
    """Returns W0 + λ[Γ], or λ[Γ], [O, I], in ``dtype``."""
    total = values.index_select(0, index.reshape(-1)).view(index.shape)
    if weight is not None:
        total = total.to(torch.promote_types(total.dtype, weight.dtype)).add_(weight)
    return total.to(dtype)


class _MosaLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch has no type for it
        x: Tensor,
        values: Tensor,
        index: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(x, values, index, weight)
        ctx.bias_dtype = None if bias is None else bias.dtype
        total = _total(values, index, weight, dtype=x.dtype)
        return F.linear(x, total, None if bias is None else bias.to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - as above
        x, values, index, weight = ctx.saved_tensors
        needs_x, needs_values, _, needs_weight, needs_bias = ctx.needs_input_grad
        # Under autocast y is of another dtype than x, and so is its gradient.
        grad_y = grad_y.to(x.dtype)
        grad_x = grad_values = grad_weight = grad_bias = None
        if needs_x:
            grad_x = grad_y @ _total(values, index, weight, dtype=x.dtype)
        flat_grad_y = grad_y.reshape(-1, grad_y.shape[-1])
        if needs_values or needs_weight:
            grad_total = flat_grad_y.mT @ x.reshape(-1, x.shape[-1])
            if needs_values:
                sums = segment_sum(grad_total, index, groups=values.shape[0])
                grad_values = sums.to(values.dtype)
            if needs_weight:
                grad_weight = grad_total.to(weight.dtype)
        if needs_bias:
            grad_bias = flat_grad_y.sum(0).to(ctx.bias_dtype)
        return grad_x, grad_values, None, grad_weight, grad_bias
