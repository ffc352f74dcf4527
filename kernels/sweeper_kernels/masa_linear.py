"""MASA's linear layer: a frozen product and a low-rank one, each over memory once.

Eq. 4 of the paper, where A is the sum of the experts, and the form in which a router weighs them:

    y = W0 x + bias + s B A x
    y = W0 x + bias + s Σ_j B_j u_j     u_j = Σ_i p_ij A_i x     p = softmax(W_g x) over all (i, j)

The low-rank part is added where its product ends (``beta=1``), so there is no tensor for it, no
pass that scales it, and none that adds it; its gradient of x is added in the same way. The thin
products stay the vendor's: they are bound by reading x and by reading and writing y, which they do
once. The features of all experts and the scores of the router are one product, h. Kept for the
backward pass are x and h: the gates are computed again.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from sweeper_kernels._operators.masa import masa_gate_backward, masa_gate_forward
from sweeper_kernels._routing import Routing

__all__ = ["add_low_rank", "masa_gate", "masa_linear", "masa_linear_reference"]


def masa_linear_reference(
    x: Tensor,
    down: Tensor,
    up: Tensor,
    *,
    scale: float,
    weight: Tensor,
    bias: Tensor | None = None,
    router: Tensor | None = None,
) -> Tensor:
    """Returns what :func:`masa_linear` does, pair by pair and by autograd, in float32 or more."""
    dtype = torch.promote_types(torch.promote_types(x.dtype, down.dtype), torch.float32)
    wide = x.to(dtype)
    y = F.linear(wide, weight.to(dtype), None if bias is None else bias.to(dtype))
    if router is None:
        return (y + scale * (wide @ down.to(dtype).mT @ up.to(dtype).mT)).to(x.dtype)
    gates = F.linear(wide, router.to(dtype)).softmax(-1)
    for i, expert in enumerate(down.to(dtype)):
        for j, one in enumerate(up.to(dtype)):
            gate = gates[..., i * len(up) + j, None]
            y = y + scale * gate * (wide @ expert.mT @ one.mT)
    return y.to(x.dtype)


def masa_linear(
    x: Tensor,
    down: Tensor,
    up: Tensor,
    *,
    scale: float,
    weight: Tensor,
    bias: Tensor | None = None,
    router: Tensor | None = None,
) -> Tensor:
    """Returns ``W0 x + bias + s B A x``, or with a router ``W0 x + bias + s Σ p_ij B_j A_i x``.

    The frozen product is in the dtype of ``x``, the others in the wider one of ``x`` and ``down``.
    Under autocast call the frozen layer, and :func:`add_low_rank`.

    Args:
        x: activations, [..., I], floating point.
        down: A, the sum of the experts, [R, I]; with a router all of them, [experts, R, I].
        up: B, [O, R]; with a router [up_projections, O, R].
        scale: s, factor of the update.
        weight: W0, [O, I], of the dtype of ``x``.
        bias: [O], of the dtype of ``x``, or None.
        router: W_g, [experts * up_projections, I], or None for the sum. The row of the pair (i, j)
            is ``i * up_projections + j``.

    Returns:
        [..., O], of the dtype of ``x``.

    Raises:
        ValueError: when a shape does not fit, or under autocast.
    """
    if torch.is_autocast_enabled(x.device.type):
        raise ValueError(
            f"masa_linear: autocast is on for {x.device.type}, which would round inside of it; "
            "allowed is no autocast; call the frozen layer and add_low_rank"
        )
    _check(x, down, up, weight, router)
    result: Tensor = _MasaLinear.apply(scale, x, down, router, up, weight, bias)  # type: ignore[no-untyped-call]
    return result


def masa_gate(features: Tensor, scores: Tensor, *, experts: int) -> Tensor:
    """Returns the features of the experts weighed by their gates: u_j = Σ_i p_ij h_i.

    For where features and scores are made by the modules that have A and W_g;
    :func:`masa_linear` makes both in one product.

    Args:
        features: A_i x, one after another, [..., experts * R], floating point.
        scores: of the router, [..., experts * up_projections], of any floating dtype.
        experts: how many there are.

    Returns:
        [..., up_projections * R], of the dtype of ``features``, to which scores are rounded;
        softmax is in float32 or more.
    """
    ups, rank = scores.shape[-1] // experts, features.shape[-1] // experts
    routing = Routing(experts, ups, rank)
    rows = features.flatten(0, -2) if features.ndim > 1 else features[None]
    of_rows = scores.to(features.dtype).reshape(-1, scores.shape[-1])
    h = routing.joined(rows.mT, of_rows.mT).mT.contiguous()
    u: Tensor = _Gate.apply(h, routing)  # type: ignore[no-untyped-call]
    return u.view(*features.shape[:-1], ups * rank)


def add_low_rank(base: Tensor | None, features: Tensor, up: Tensor, *, scale: float) -> Tensor:
    """Returns ``base + s B u``, for the output of a frozen layer that has to be called itself.

    The sum is where the product ends, so no update is made and scaled by itself. It is not in
    place: the output of a linear layer is a view of a matrix, and where a view was written to,
    autograd copies the gradient, which takes what was saved.

    Args:
        base: output of the frozen layer, [..., O], floating point; or None for the update alone.
        features: u, [..., R], floating point.
        up: B, [O, R], of the dtype of ``features``.
        scale: s, factor of the update.

    Returns:
        [..., O], in the wider dtype of ``base`` and ``features``, or in autocast's.
    """
    if base is None:
        # Scaled where it is small, and not at all where it need not be.
        return F.linear(features if scale == 1 else features * scale, up)
    dtype = torch.promote_types(base.dtype, features.dtype)
    rows = base.reshape(-1, base.shape[-1]).to(dtype)
    u = features.reshape(-1, features.shape[-1]).to(dtype)
    return torch.addmm(rows, u, up.to(dtype).mT, alpha=scale).view(base.shape)


def _check(x: Tensor, down: Tensor, up: Tensor, weight: Tensor, router: Tensor | None) -> None:
    out_features, in_features = weight.shape
    if x.shape[-1] != in_features or weight.dtype != x.dtype:
        raise ValueError(
            f"masa_linear: x is {tuple(x.shape)}, {x.dtype}, but the weight {tuple(weight.shape)}, "
            f"{weight.dtype}; allowed are [..., {in_features}] and one dtype; pass the input of "
            "this layer, or call the layer and add_low_rank"
        )
    rank = down.shape[-2]
    if router is None:
        expected: tuple[tuple[int, ...], ...] = ((rank, in_features), (out_features, rank))
    else:
        experts, ups = (matrix.shape[0] for matrix in (down, up))
        expected = (
            (experts, rank, in_features),
            (ups, out_features, rank),
            (experts * ups, in_features),
        )
    given = [down, up] if router is None else [down, up, router]
    found = tuple(tuple(matrix.shape) for matrix in given)
    if found != expected:
        raise ValueError(
            f"masa_linear: down, up and router are {found}; allowed is {expected} with a weight of "
            f"{tuple(weight.shape)}; pass the matrices of this layer"
        )


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, routing: Routing) -> Tensor:  # noqa: ANN401 - torch has no type for it
        ctx.save_for_backward(h)
        ctx.sizes = (routing.experts, routing.up_projections, routing.rank)
        u: Tensor = masa_gate_forward(h, *ctx.sizes)
        return u

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_u: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - as above
        [h] = ctx.saved_tensors
        grad_h, _ = masa_gate_backward(h, grad_u, *ctx.sizes)
        return grad_h, None


class _MasaLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - as above
        scale: float,
        x: Tensor,
        down: Tensor,
        router: Tensor | None,
        up: Tensor,
        weight: Tensor,
        bias: Tensor | None,
    ) -> Tensor:
        wide = torch.promote_types(x.dtype, down.dtype)
        rows = _rows(x)
        h = F.linear(_cast(rows, wide), _cast(_first(down, router), wide))
        u = h if router is None else masa_gate_forward(h, *_sizes(down, up))
        # The only new tensor of its size; but where the adapter is wider than the frozen layer,
        # another one of its size in the wider type is not rounded before the sum is done.
        y = _cast(F.linear(rows, weight, bias), wide)
        y.addmm_(u, _cast(_last(up), wide).mT, alpha=scale)
        ctx.save_for_backward(x, h, down, router, up, weight)
        ctx.scale = scale
        ctx.bias_dtype = None if bias is None else bias.dtype
        return _cast(y, x.dtype).view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - as above
        x, h, down, router, up, weight = ctx.saved_tensors
        needs_x, needs_down, needs_router, needs_up, needs_weight, needs_bias = (
            ctx.needs_input_grad[1:]
        )
        rows, grad_rows = _rows(x), _rows(grad_y)
        grad_wide = _cast(grad_rows, h.dtype)
        # Scaled where it is small.
        grad_h, u = (grad_wide @ _cast(_last(up), h.dtype)).mul_(ctx.scale), h
        if router is not None:
            grad_h, u = masa_gate_backward(h, grad_h, *_sizes(down, up))
        grads: list[Tensor | None] = [None] * 6
        if needs_x:
            grad_x = _cast(grad_rows @ weight, h.dtype)
            grad_x.addmm_(grad_h, _cast(_first(down, router), h.dtype))
            grads[0] = _cast(grad_x, x.dtype).view(x.shape)
        if needs_down or needs_router:
            grads[1:3] = _parted(grad_h.mT @ _cast(rows, h.dtype), down, router, up)
        if needs_up:
            grad_up = _cast((grad_wide.mT @ u).mul_(ctx.scale), up.dtype)
            grads[3] = grad_up if router is None else _apart(grad_up, up)
        if needs_weight:
            grads[4] = grad_rows.mT @ rows
        if needs_bias:
            grads[5] = grad_rows.sum(0).to(ctx.bias_dtype)
        return None, *grads


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns ``tensor.to(dtype)``, a microsecond sooner where it is of that dtype."""
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])


def _sizes(down: Tensor, up: Tensor) -> tuple[int, int, int]:
    """Returns the numbers of experts and of up-projections, and R."""
    return down.shape[0], up.shape[0], down.shape[1]


def _first(down: Tensor, router: Tensor | None) -> Tensor:
    """Returns the matrix of the product that x is read for, A or all experts and the router."""
    if router is None:
        return down
    experts, rank, _ = down.shape
    routing = Routing(experts, router.shape[0] // experts, rank)
    return routing.joined(down.flatten(0, 1), router.to(down.dtype))


def _parted(
    grad: Tensor, down: Tensor, router: Tensor | None, up: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Returns the gradients of A and of the router from that of :func:`_first`."""
    if router is None:
        return _cast(grad, down.dtype), None
    grad_down, grad_router = Routing(*_sizes(down, up)).parted(grad)
    return grad_down.to(down.dtype).view(down.shape), grad_router.to(router.dtype)


def _last(up: Tensor) -> Tensor:
    """Returns B, or the B of all up-projections side by side: [O, up_projections * R]."""
    return up if up.ndim == 2 else up.transpose(0, 1).flatten(1)


def _apart(grad: Tensor, up: Tensor) -> Tensor:
    """Returns the gradient of B from that of :func:`_last`."""
    return grad.view(up.shape[1], up.shape[0], -1).transpose(0, 1).contiguous()
