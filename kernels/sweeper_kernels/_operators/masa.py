"""The gates of MASA's routed form, as operators of torch."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper_kernels._operators.definition import define
from sweeper_kernels._routing import Routing
from sweeper_kernels.backend import choose

__all__ = ["masa_gate_backward", "masa_gate_forward"]


def _compute_gates(h: Tensor, routing: Routing) -> tuple[Tensor, Tensor]:
    """Returns p, [T, up_projections, experts], and the features, [T, experts, R], in 32 bit."""
    h = h.to(torch.promote_types(h.dtype, torch.float32))
    features = h[:, : routing.features].view(-1, routing.experts, routing.rank)
    scores = h[:, routing.features :].view(-1, routing.up_projections, routing.width)
    scores = scores[:, :, : routing.experts]
    return scores.flatten(1).softmax(1).view(scores.shape), features


def _forward(h: Tensor, experts: int, up_projections: int, rank: int) -> Tensor:
    if choose(h) == "triton":
        from sweeper_kernels._triton.masa import gate_forward

        made: Tensor = gate_forward(h, experts=experts, up_projections=up_projections, rank=rank)
        return made
    gates, features = _compute_gates(h, Routing(experts, up_projections, rank))
    return (gates @ features).flatten(1).to(h.dtype)


def _backward(
    h: Tensor, grad_u: Tensor, experts: int, up_projections: int, rank: int
) -> tuple[Tensor, Tensor]:
    """Returns the gradient of h, and u again, of which the gradient of B is made."""
    if choose(h) == "triton":
        from sweeper_kernels._triton.masa import gate_backward

        made: tuple[Tensor, Tensor] = gate_backward(
            h, grad_u, experts=experts, up_projections=up_projections, rank=rank
        )
        return made
    routing = Routing(experts, up_projections, rank)
    gates, features = _compute_gates(h, routing)
    u = gates @ features
    grad_u = grad_u.to(u.dtype).view(u.shape)
    grad_gates = grad_u @ features.mT
    mean = (grad_u * u).sum((1, 2), keepdim=True)
    grad_scores = gates * (grad_gates - mean)
    grad_h = torch.zeros_like(h)
    grad_h[:, : routing.features] = (gates.mT @ grad_u).flatten(1)
    filled = grad_h[:, routing.features :].view(-1, up_projections, routing.width)
    filled[:, :, :experts] = grad_scores
    return grad_h, u.flatten(1).to(h.dtype)


def _forward_fake(h: Tensor, experts: int, up_projections: int, rank: int) -> Tensor:
    del experts
    return h.new_empty(h.shape[0], up_projections * rank)


def _backward_fake(
    h: Tensor, grad_u: Tensor, experts: int, up_projections: int, rank: int
) -> tuple[Tensor, Tensor]:
    del grad_u, experts
    return torch.empty_like(h), h.new_empty(h.shape[0], up_projections * rank)


_SIZES = "int experts, int up_projections, int rank"

masa_gate_forward = define(
    f"masa_gate_forward(Tensor h, {_SIZES}) -> Tensor", kernel=_forward, fake=_forward_fake
)
masa_gate_backward = define(
    f"masa_gate_backward(Tensor h, Tensor grad_u, {_SIZES}) -> (Tensor, Tensor)",
    kernel=_backward,
    fake=_backward_fake,
)
