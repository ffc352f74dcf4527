"""The gates of MASA's routed form: softmax, and the weighing of the experts' features.

One pass over h, the product of the activations with all experts and the router, for each token:

    p = softmax(scores)     u_j = Σ_i p_ij h_i

over all pairs of an expert i and an up-projection j.

The products before and after stay torch's. They take nearly all of the memory traffic, in reading
x and in reading and writing y, each once: x is an operand of the one product that makes h, and u B
is added where a product ends (``beta=1``). A kernel of ours could only move the same bytes.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sweeper_kernels._routing import Routing

__all__ = ["gate_backward", "gate_forward"]

# Features of a warp: 32 for each thread. With 64 the backward pass spills.
_FEATURES = 1024
_MOST_TOKENS = 64
_MOST_WARPS = 16


def gate_forward(h: Tensor, *, experts: int, up_projections: int, rank: int) -> Tensor:
    """Returns u, [T, up_projections * R], of the dtype of h.

    Args:
        h: features and scores in the order of ``Routing``, [T, columns], float32, bfloat16 or
            float16.
        experts: the number of down-projections.
        up_projections: the number of up-projections.
        rank: R.
    """
    T = h.shape[0]
    u = torch.empty(T, up_projections * rank, dtype=h.dtype, device=h.device)
    constants = _constants(Routing(experts, up_projections, rank))
    if T:
        grid = (triton.cdiv(T, constants["BLOCK_T"]),)
        with torch.cuda.device_of(h):
            _masa_gate_fwd_kernel[grid](
                h.contiguous(), u, T, **constants, num_warps=_warps(constants)
            )
    return u


def gate_backward(
    h: Tensor, grad_u: Tensor, *, experts: int, up_projections: int, rank: int
) -> tuple[Tensor, Tensor]:
    """Returns the gradient of h, [T, columns], and u, [T, up_projections * R], both as h.

    Args:
        h: as in :func:`gate_forward`.
        grad_u: [T, up_projections * R], float32, bfloat16 or float16.
        experts: the number of down-projections.
        up_projections: the number of up-projections.
        rank: R.
    """
    T = h.shape[0]
    grad_h = torch.empty(h.shape, dtype=h.dtype, device=h.device)
    u = torch.empty(T, up_projections * rank, dtype=h.dtype, device=h.device)
    constants = _constants(Routing(experts, up_projections, rank))
    if T:
        grid = (triton.cdiv(T, constants["BLOCK_T"]),)
        with torch.cuda.device_of(h):
            _masa_gate_bwd_kernel[grid](
                h.contiguous(),
                grad_u.contiguous(),
                grad_h,
                u,
                T,
                **constants,
                num_warps=_warps(constants),
            )
    return grad_h, u


def _constants(routing: Routing) -> dict[str, int]:
    """Returns the sizes that are compiled in, so that a kernel knows what is aligned."""
    block_r = triton.next_power_of_2(routing.rank)
    tokens = _FEATURES // (routing.width * block_r)
    return {
        "EXPERTS": routing.experts,
        "UPS": routing.up_projections,
        "R": routing.rank,
        "WIDTH": routing.width,
        "COLUMNS": routing.columns,
        "BLOCK_T": max(1, min(tokens, _MOST_TOKENS)),
        "BLOCK_R": block_r,
    }


def _warps(constants: dict[str, int]) -> int:
    """Returns 1; more where the features of one token are too many for a warp."""
    features = constants["BLOCK_T"] * constants["WIDTH"] * constants["BLOCK_R"]
    return max(1, min(features // _FEATURES, _MOST_WARPS))


@triton.jit
def _masa_gate_fwd_kernel(
    h_ptr,
    u_ptr,
    T,
    EXPERTS: tl.constexpr,
    UPS: tl.constexpr,
    R: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_R: tl.constexpr,
):
    """u[t, j] = Σ_i p[t, i, j] features[t, i], for a block of tokens."""
    t = tl.program_id(0).to(tl.int64) * BLOCK_T + tl.arange(0, BLOCK_T)
    h = h_ptr + t * COLUMNS
    is_token = t < T
    features = _features_of(h, is_token, EXPERTS, R, WIDTH, BLOCK_R)
    scores = h + EXPERTS * R
    top, total = _softmax_of(scores, is_token, EXPERTS, UPS, WIDTH)
    r = tl.arange(0, BLOCK_R)[None, :]
    for j in range(UPS):
        p = tl.exp(_scores_of(scores, j, is_token, EXPERTS, WIDTH) - top[:, None]) / total[:, None]
        u = tl.sum(p[:, :, None] * features, axis=1)
        out = u_ptr + t[:, None] * (UPS * R) + j * R + r
        tl.store(out, u.to(u_ptr.dtype.element_ty), mask=_is_inside(is_token, r, R, BLOCK_R))


@triton.jit
def _masa_gate_bwd_kernel(
    h_ptr,
    grad_u_ptr,
    grad_h_ptr,
    u_ptr,
    T,
    EXPERTS: tl.constexpr,
    UPS: tl.constexpr,
    R: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_R: tl.constexpr,
):
    """Gradients of h, and u, with p computed again, for a block of tokens.

    g_features[i] = Σ_j p_ij g_u[j]
    g_score_ij = p_ij (g_u[j] · features[i] − Σ_j g_u[j] · u[j])
    """
    t = tl.program_id(0).to(tl.int64) * BLOCK_T + tl.arange(0, BLOCK_T)
    h = h_ptr + t * COLUMNS
    is_token = t < T
    features = _features_of(h, is_token, EXPERTS, R, WIDTH, BLOCK_R)
    scores = h + EXPERTS * R
    top, total = _softmax_of(scores, is_token, EXPERTS, UPS, WIDTH)
    i = tl.arange(0, WIDTH)
    r = tl.arange(0, BLOCK_R)[None, :]
    is_inside = _is_inside(is_token, r, R, BLOCK_R)
    of_u = t[:, None] * (UPS * R) + r
    grad_features = tl.zeros((BLOCK_T, WIDTH, BLOCK_R), tl.float32)
    mean = tl.zeros((BLOCK_T,), tl.float32)
    for j in range(UPS):
        p = tl.exp(_scores_of(scores, j, is_token, EXPERTS, WIDTH) - top[:, None]) / total[:, None]
        grad_u = tl.load(grad_u_ptr + of_u + j * R, mask=is_inside, other=0).to(tl.float32)
        u = tl.sum(p[:, :, None] * features, axis=1)
        tl.store(u_ptr + of_u + j * R, u.to(u_ptr.dtype.element_ty), mask=is_inside)
        mean += tl.sum(grad_u * u, axis=1)
        grad_features += p[:, :, None] * grad_u[:, None, :]
    grad_h = grad_h_ptr + t * COLUMNS
    of_features = grad_h[:, None, None] + (i[:, None] * R + r)[None, :, :]
    is_expert = (i < EXPERTS)[None, :, None] & is_inside[:, None, :]
    tl.store(of_features, grad_features.to(grad_h_ptr.dtype.element_ty), mask=is_expert)
    for j in range(UPS):
        p = tl.exp(_scores_of(scores, j, is_token, EXPERTS, WIDTH) - top[:, None]) / total[:, None]
        grad_u = tl.load(grad_u_ptr + of_u + j * R, mask=is_inside, other=0).to(tl.float32)
        grad_p = tl.sum(grad_u[:, None, :] * features, axis=2)
        # Zero in the columns that only fill up, where p is.
        grad_scores = p * (grad_p - mean[:, None])
        out = grad_h[:, None] + EXPERTS * R + j * WIDTH + i[None, :]
        tl.store(out, grad_scores.to(grad_h_ptr.dtype.element_ty), mask=is_token[:, None])


@triton.jit
def _softmax_of(scores, is_token, EXPERTS: tl.constexpr, UPS: tl.constexpr, WIDTH: tl.constexpr):
    """Returns the largest score of each token, and the sum of the exponentials of all less it."""
    first = _scores_of(scores, 0, is_token, EXPERTS, WIDTH)
    top = tl.max(first, axis=1)
    total = tl.sum(tl.exp(first - top[:, None]), axis=1)
    for j in range(1, UPS):
        more = _scores_of(scores, j, is_token, EXPERTS, WIDTH)
        higher = tl.maximum(top, tl.max(more, axis=1))
        total = total * tl.exp(top - higher) + tl.sum(tl.exp(more - higher[:, None]), axis=1)
        top = higher
    return top, total


@triton.jit
def _scores_of(scores, j, is_token, EXPERTS: tl.constexpr, WIDTH: tl.constexpr):
    """Returns the scores of all experts with the up-projection j, [BLOCK_T, WIDTH]."""
    i = tl.arange(0, WIDTH)[None, :]
    # The columns that fill up are read, too, so that the loads are wide.
    found = tl.load(scores[:, None] + j * WIDTH + i, mask=is_token[:, None], other=0)
    return tl.where(i < EXPERTS, found.to(tl.float32), float("-inf"))


@triton.jit
def _features_of(
    h, is_token, EXPERTS: tl.constexpr, R: tl.constexpr, WIDTH: tl.constexpr, BLOCK_R: tl.constexpr
):
    """Returns the features of all experts, [BLOCK_T, WIDTH, BLOCK_R]."""
    i = tl.arange(0, WIDTH)
    r = tl.arange(0, BLOCK_R)[None, :]
    is_inside = (i < EXPERTS)[None, :, None] & _is_inside(is_token, r, R, BLOCK_R)[:, None, :]
    found = tl.load(h[:, None, None] + (i[:, None] * R + r)[None, :, :], mask=is_inside, other=0)
    return found.to(tl.float32)


@triton.jit
def _is_inside(is_token, r, R: tl.constexpr, BLOCK_R: tl.constexpr):
    """Returns which of [BLOCK_T, BLOCK_R] there are; it does not vary along R where it need not."""
    is_inside = is_token[:, None]
    if R == BLOCK_R:
        is_inside = tl.broadcast_to(is_inside, (is_token.shape[0], BLOCK_R))
    else:
        is_inside = is_inside & (r < R)
    return is_inside
