"""The operators of :mod:`.mosa_linear`, its forward and its backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from sweeper_kernels._operators.definition import INDEX_SCHEMA, define, find_index_shape, unpack
from sweeper_kernels._operators.tiles import cut_columns, cut_rows, make_tile, start_sums
from sweeper_kernels.backend import Backend, choose
from sweeper_kernels.tessellation import Tessellation

__all__ = ["mosa_backward", "mosa_forward"]


def _forward(
    x: Tensor,
    values: Tensor,
    index: Tensor | None,
    tessellation: list[int],
    skew: float,
    weight: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    grouping, backend = unpack(index, tessellation, skew), choose(x)
    bias = None if bias is None else bias.to(x.dtype)
    if backend == "triton":
        from sweeper_kernels._triton.mosa import expand

        return F.linear(x, expand(values, grouping, weight=weight, dtype=x.dtype), bias)
    shape = find_index_shape(grouping)
    flat = x.reshape(-1, shape[1])
    y = flat.new_empty(flat.shape[0], shape[0])
    for tile in cut_rows(*shape):
        part = make_tile(values, grouping, tile, weight=weight, dtype=x.dtype, backend=backend)
        rows = slice(tile[0], tile[1])
        if bias is None:
            torch.mm(flat, part.mT, out=y[:, rows])
        else:
            torch.addmm(bias[rows], flat, part.mT, out=y[:, rows])
    return y.view(*x.shape[:-1], shape[0])


def _backward(
    grad_y: Tensor,
    x: Tensor,
    values: Tensor,
    index: Tensor | None,
    tessellation: list[int],
    skew: float,
    weight: Tensor | None,
    needs: list[bool],
) -> tuple[Tensor, Tensor]:
    """Returns the gradients of x and λ, each empty where it is not needed."""
    grouping, backend = unpack(index, tessellation, skew), choose(x)
    shape = find_index_shape(grouping)
    flat_grad_y, flat = grad_y.reshape(-1, shape[0]), x.reshape(-1, shape[1])
    if backend == "triton":
        grads = _backward_on_gpu(flat_grad_y, flat, values, grouping, weight=weight, needs=needs)
    else:
        grads = _backward_in_tiles(
            flat_grad_y, flat, values, grouping, weight=weight, needs=needs, backend=backend
        )
    grad_x, grad_values = grads
    return (
        x.new_empty(0) if grad_x is None else grad_x.view(x.shape),
        values.new_empty(0) if grad_values is None else grad_values.to(values.dtype),
    )


_Grads = tuple[Tensor | None, Tensor | None]


def _backward_on_gpu(
    grad_y: Tensor,
    x: Tensor,
    values: Tensor,
    index: Tensor | Tessellation,
    *,
    weight: Tensor | None,
    needs: Sequence[bool],
) -> _Grads:
    from sweeper_kernels._triton import mosa

    grad_x = grad_values = None
    if needs[0]:
        grad_x = grad_y @ mosa.expand(values, index, weight=weight, dtype=x.dtype)
    if needs[1]:
        grad_values = mosa.grad_values(grad_y, x, index, groups=values.shape[0])
    return grad_x, grad_values


def _backward_in_tiles(
    grad_y: Tensor,
    x: Tensor,
    values: Tensor,
    index: Tensor | Tessellation,
    *,
    weight: Tensor | None,
    needs: Sequence[bool],
    backend: Backend,
) -> _Grads:
    grad_x = x.new_empty(x.shape) if needs[0] else None
    sums = start_sums(x, index, groups=values.shape[0], backend=backend) if needs[1] else None
    # Columns, so that no tile adds to what another one has written.
    for tile in cut_columns(*find_index_shape(index)):
        columns = slice(tile[2], tile[3])
        if grad_x is not None:
            part = make_tile(values, index, tile, weight=weight, dtype=x.dtype, backend=backend)
            torch.mm(grad_y, part, out=grad_x[:, columns])
        if sums is not None:
            sums.add(grad_y.mT @ x[:, columns], tile)
    return grad_x, None if sums is None else sums.total()


def _forward_fake(
    x: Tensor,
    values: Tensor,
    index: Tensor | None,
    tessellation: list[int],
    skew: float,
    weight: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    del values, skew, weight, bias
    return x.new_empty(*x.shape[:-1], tessellation[0] if index is None else index.shape[0])


def _backward_fake(
    grad_y: Tensor,
    x: Tensor,
    values: Tensor,
    index: Tensor | None,
    tessellation: list[int],
    skew: float,
    weight: Tensor | None,
    needs: list[bool],
) -> tuple[Tensor, Tensor]:
    del grad_y, index, tessellation, skew, weight
    return x.new_empty(x.shape if needs[0] else 0), values.new_empty(
        values.shape if needs[1] else 0
    )


mosa_forward = define(
    f"mosa_forward(Tensor x, Tensor values, {INDEX_SCHEMA}, Tensor? weight, Tensor? bias)"
    " -> Tensor",
    kernel=_forward,
    fake=_forward_fake,
)
mosa_backward = define(
    f"mosa_backward(Tensor grad_y, Tensor x, Tensor values, {INDEX_SCHEMA}, Tensor? weight,"
    " bool[2] needs) -> (Tensor, Tensor)",
    kernel=_backward,
    fake=_backward_fake,
)


@register_flop_formula(mosa_forward)
def _forward_flops(x_shape: Sequence[int], *_: object, out_shape: Sequence[int]) -> int:
    """Returns the operations of one product of full size: 2 T I O."""
    return 2 * prod(x_shape) * out_shape[-1]


@register_flop_formula(mosa_backward)
def _backward_flops(
    grad_y_shape: Sequence[int], x_shape: Sequence[int], *rest: object, out_shape: object
) -> int:
    """Returns the operations of one product of full size for each gradient."""
    del out_shape
    needs = rest[-1]
    assert isinstance(needs, list)
    return 2 * prod(x_shape) * grad_y_shape[-1] * sum(needs)
