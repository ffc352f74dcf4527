"""MoSA's linear layer: every weight is moved by the trained value of its group.

    ΔW[o, i] = λ[Γ[o, i]]          y = x (W0 + ΔW)ᵀ + bias
    g_x = g_y (W0 + ΔW)            g_λ = segment_sum(g_yᵀ x, Γ)

W0 + ΔW and g_yᵀ x have the size of W0 and are made of K numbers, or summed to K numbers. So neither
is kept between the passes. On a CPU a matrix of more than two million weights never has either as
a whole: both are made and used up a tile at a time. On a GPU g_yᵀ x does not, and W0 + ΔW lives for
one matrix product: made in its tiles, it would be made again for every block of tokens.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from sweeper_kernels._operators.definition import find_index_shape, pack
from sweeper_kernels._operators.mosa import mosa_backward, mosa_forward
from sweeper_kernels.segment_sum import check_index
from sweeper_kernels.tessellation import Tessellation

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
    dtype = torch.promote_types(torch.promote_types(x.dtype, values.dtype), torch.float32)
    delta = values.to(dtype)[index.long()]
    total = delta if weight is None else weight.to(dtype) + delta
    return F.linear(x.to(dtype), total, None if bias is None else bias.to(dtype)).to(x.dtype)


def mosa_linear(
    x: Tensor,
    values: Tensor,
    index: Tensor | Tessellation,
    *,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Returns ``x (W0 + λ[Γ])ᵀ + bias``, or ``x λ[Γ]ᵀ + bias`` without W0.

    The matrix products are in the dtype of ``x``, or in autocast's. In a 16-bit dtype the sum
    W0 + ΔW rounds a small ΔW away: leave ``weight`` out there, and add the result to that of the
    frozen layer.

    Args:
        x: activations, [..., I], floating point.
        values: λ, [K], floating point, usually float32.
        index: Γ, [O, I], int32, from 0 to K-1 (not checked: another number reads and writes memory
            of others); or the tessellation that it follows from, of which nothing is stored.
        weight: W0, [O, I], or None for the update alone.
        bias: [O], or None.

    Returns:
        [..., O], dtype of ``x``, or of autocast.

    Raises:
        ValueError: when a shape does not fit Γ.
    """
    _check(x, values, index, weight)
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    result: Tensor = _MosaLinear.apply(x, values, index, weight, bias)  # type: ignore[no-untyped-call]
    return result


def _check(x: Tensor, values: Tensor, index: Tensor | Tessellation, weight: Tensor | None) -> None:
    if values.ndim != 1 or (isinstance(index, Tensor) and index.ndim != 2):
        raise ValueError(
            f"mosa_linear: values have shape {tuple(values.shape)} and index has "
            f"{index.ndim if isinstance(index, Tensor) else 2} dimensions; "
            "allowed are [K] and [O, I]; pass λ and Γ of one weight matrix"
        )
    shape = (find_index_shape(index)[0], x.shape[-1]) if weight is None else tuple(weight.shape)
    check_index("mosa_linear", index, shape=shape, groups=values.shape[0])
    if x.shape[-1] != shape[1]:
        raise ValueError(
            f"mosa_linear: x has {x.shape[-1]} features but the matrix is {shape}; they must be "
            f"{shape[1]}; pass the input of this layer"
        )


class _MosaLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch has no type for it
        x: Tensor,
        values: Tensor,
        index: Tensor | Tessellation,
        weight: Tensor | None,
        bias: Tensor | None,
    ) -> Tensor:
        stored = index if isinstance(index, Tensor) else None
        ctx.save_for_backward(x, values, stored, weight)
        ctx.tessellation = None if isinstance(index, Tensor) else index
        ctx.bias_dtype = None if bias is None else bias.dtype
        result: Tensor = mosa_forward(x, values, *pack(index), weight, bias)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - as above
        x, values, stored, weight = ctx.saved_tensors
        needs_x, needs_values, _, needs_weight, needs_bias = ctx.needs_input_grad
        index = ctx.tessellation if stored is None else stored
        grad_x, grad_values = mosa_backward(
            grad_y, x, values, *pack(index), weight, [needs_x, needs_values]
        )
        flat_grad_y = grad_y.reshape(-1, grad_y.shape[-1])
        grad_weight = grad_bias = None
        if needs_weight:
            grad_weight = (flat_grad_y.mT @ x.reshape(-1, x.shape[-1])).to(weight.dtype)
        if needs_bias:
            grad_bias = flat_grad_y.sum(0).to(ctx.bias_dtype)
        return (
            grad_x if needs_x else None,
            grad_values if needs_values else None,
            None,
            grad_weight,
            grad_bias,
        )
