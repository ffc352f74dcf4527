"""Every Triton kernel against its reference: odd shapes, three types, and sizes of a real layer.

What is compared is an error over what is allowed. Sums are compared with those of float64, and
allowed is what adding float32 in another order makes of them; λ[Γ] must be the same to the bit;
gates and whole layers are rounded once more, to the type that they are in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from benchmarks.gpu_check.parts import Piece, Row
from sweeper_kernels import (
    Strategy,
    Tessellation,
    group_index_reference,
    mosa_linear,
    mosa_linear_reference,
)
from sweeper_kernels._routing import Routing

__all__ = ["Shape", "miss_of_sums", "miss_of_values", "pieces"]

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# Of a sum of float32, relative to the sum of the absolute terms: float32 has 6e-8, and adding in
# another order makes some thirty times that of it at most.
SUM_TOLERANCE = 2e-6
# Relative and absolute: the spacing of the type, and of sums around zero.
ROUNDED = {
    torch.float32: (1e-5, 1e-5),
    torch.float16: (1e-3, 1e-4),
    torch.bfloat16: (8e-3, 1e-3),
}
# Of products of up to 100 numbers of size 1 whose weights W0 + λ are rounded in 16 bit, too.
LAYER = {
    torch.float32: (1e-4, 1e-4),
    torch.float16: (1e-2, 5e-2),
    torch.bfloat16: (2e-2, 3e-1),
}
Index = Tensor | Tessellation


@dataclass(frozen=True)
class Shape:
    """Of a layer, and of what goes through it."""

    O: int
    I: int
    groups: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.O}x{self.I}, K {self.groups}, {self.tokens} tokens"


# Of few tiles: the interpreter takes a tenth of a second for each.
SMALL = (Shape(9, 70, 63, 33),)
# No side is a multiple of a block; the second is a line, with a network larger than the matrix.
ODD = (Shape(100, 70, 350, 33), Shape(1, 63, 7, 1))
# Two parts of the tokens; groups of the size of a tile and more.
LONG = Shape(160, 120, 10, 600)
# K of rank 32 in LLaMA3-8B: sizes at which programs, copies of sums and offsets are the real ones.
REAL = (Shape(4096, 4096, 262_144, 2048), Shape(14_336, 4096, 589_824, 512))
GATES = ((5, 1, 8), (3, 2, 3), (17, 2, 5))


def pieces(*, is_small: bool) -> Iterator[Piece]:
    """Yields a comparison for each kernel, type, shape and kind of groups.

    Args:
        is_small: whether of few, on the CPU.
    """
    device = torch.device("cpu" if is_small else "cuda")
    # What is timed later comes first: each piece compiles a kernel of its own, about half a second.
    for shape in () if is_small else REAL:
        for dtype, kind in ((torch.bfloat16, "brt"), (torch.float32, "stored")):
            yield from _of_mosa(shape, kind, dtype, device)
    for dtype in DTYPES:
        for shape in SMALL if is_small else ODD:
            for kind in ("brt", "stored") if is_small else (*get_args(Strategy), "stored"):
                yield from _of_mosa(shape, kind, dtype, device)
        yield from _gates(GATES[:1] if is_small else GATES, 33, dtype, device)
        layer = SMALL[0] if is_small else ODD[0]
        yield _piece("mosa_linear", layer, "brt", dtype, device, _layer)
    if is_small:
        return
    for dtype in DTYPES:
        for kind in ("brt", "row", "col"):
            yield _piece("grad_values", LONG, kind, dtype, device, _grad_values)
        yield from _gates(((5, 1, 8), (8, 3, 16)), 4096, dtype, device)


def _of_mosa(shape: Shape, kind: str, dtype: torch.dtype, device: torch.device) -> Iterator[Piece]:
    yield _piece("expand", shape, kind, dtype, device, _expand)
    yield _piece("grad_values", shape, kind, dtype, device, _grad_values)
    yield _piece("segment_sum", shape, kind, dtype, device, _segment_sum)


_Check = Callable[[Shape, Tessellation, Index, torch.dtype], float]


def _piece(
    kernel: str,
    shape: Shape,
    kind: str,
    dtype: torch.dtype,
    device: torch.device,
    check: _Check,
) -> Piece:
    def run() -> list[Row]:
        strategy: Strategy = "brt" if kind == "stored" else kind  # type: ignore[assignment]
        tessellation = Tessellation(shape.O, shape.I, shape.groups, strategy, seed=1)
        index: Index = tessellation
        if kind == "stored":
            index = group_index_reference(tessellation, device=device)
        torch.manual_seed(0)
        with device:
            return [_judged(check(shape, tessellation, index, dtype))]

    name = str(dtype).removeprefix("torch.")
    return Piece(f"{kernel}, {name}, {kind}, {shape}", run)


def _judged(miss: float) -> Row:
    detail = "" if miss <= 1 else f"its error is {miss:.3g} times what is allowed"
    found = {"of_limit": miss} if miss < float("inf") else {}
    return {"status": "ok" if miss <= 1 else "failed", "detail": detail, **found}


def _expand(shape: Shape, tessellation: Tessellation, index: Index, dtype: torch.dtype) -> float:
    from sweeper_kernels._triton.mosa import expand

    values, weight = torch.randn(shape.groups), torch.randn(shape.O, shape.I).to(dtype)
    found = expand(values, index, weight=weight, dtype=dtype)
    expected = weight.float() + values[_groups(tessellation).long()]
    return 0.0 if torch.equal(found, expected.to(dtype)) else float("inf")


def _grad_values(
    shape: Shape, tessellation: Tessellation, index: Index, dtype: torch.dtype
) -> float:
    from sweeper_kernels._triton.mosa import grad_values

    grad_y = torch.randn(shape.tokens, shape.O).to(dtype)
    x = torch.randn(shape.tokens, shape.I).to(dtype)
    sums = grad_values(grad_y, x, index, groups=shape.groups)
    wide_y, wide_x = grad_y.double(), x.double()
    return miss_of_sums(
        sums, wide_y.mT @ wide_x, _groups(tessellation), scale=wide_y.abs().mT @ wide_x.abs()
    )


def _segment_sum(
    shape: Shape, tessellation: Tessellation, index: Index, dtype: torch.dtype
) -> float:
    from sweeper_kernels._triton.segment_sum import segment_sum

    values = torch.randn(shape.O, shape.I).to(dtype)
    sums = segment_sum(values, index, groups=shape.groups)
    terms = values.double()
    return miss_of_sums(sums, terms, _groups(tessellation), scale=terms.abs())


def _layer(shape: Shape, tessellation: Tessellation, index: Index, dtype: torch.dtype) -> float:
    """Compares a layer as it is used, its output and all of its gradients."""
    given = {
        "x": torch.randn(shape.tokens, shape.I).to(dtype),
        "values": torch.randn(shape.groups),
        "weight": torch.randn(shape.O, shape.I).to(dtype),
        "bias": torch.randn(shape.O).to(dtype),
    }
    given = {name: tensor.requires_grad_() for name, tensor in given.items()}
    grad_y = torch.randn(shape.tokens, shape.O).to(dtype)

    def run(function: Callable[..., Tensor], grouping: Index) -> list[Tensor]:
        y = function(
            given["x"], given["values"], grouping, weight=given["weight"], bias=given["bias"]
        )
        return [y, *torch.autograd.grad(y, list(given.values()), grad_y)]

    pairs = zip(
        run(mosa_linear, index), run(mosa_linear_reference, _groups(tessellation)), strict=True
    )
    return max(miss_of_values(found, expected, *LAYER[dtype]) for found, expected in pairs)


def _gates(
    sizes: tuple[tuple[int, int, int], ...], tokens: int, dtype: torch.dtype, device: torch.device
) -> Iterator[Piece]:
    for size in sizes:

        def run(size: tuple[int, int, int] = size) -> list[Row]:
            torch.manual_seed(0)
            with device:
                return [_judged(_gates_miss(Routing(*size), tokens, dtype))]

        name = str(dtype).removeprefix("torch.")
        experts, ups, rank = size
        yield Piece(f"masa_gate, {name}, {experts}A{ups}B, r {rank}, {tokens} tokens", run)


def _gates_miss(routing: Routing, tokens: int, dtype: torch.dtype) -> float:
    """Compares both passes; columns that only fill up have NaN: nothing may depend on them."""
    from sweeper_kernels._triton.masa import gate_backward, gate_forward

    h = torch.randn(tokens, routing.columns).to(dtype)
    scores = h[:, routing.features :].view(-1, routing.up_projections, routing.width)
    scores[:, :, routing.experts :] = torch.nan
    grad_u = torch.randn(tokens, routing.up_projections * routing.rank).to(dtype)
    wide = h.double().requires_grad_()
    features = wide[:, : routing.features].view(-1, routing.experts, routing.rank)
    wide_scores = wide[:, routing.features :].view(-1, routing.up_projections, routing.width)
    used = wide_scores[:, :, : routing.experts]
    gates = used.flatten(1).softmax(1).view(used.shape)
    expected = torch.einsum("tji,tir->tjr", gates, features).flatten(1)
    [gradient] = torch.autograd.grad(expected, wide, grad_u.double())
    sizes = {
        "experts": routing.experts,
        "up_projections": routing.up_projections,
        "rank": routing.rank,
    }
    u = gate_forward(h, **sizes)
    grad_h, again = gate_backward(h, grad_u, **sizes)
    if not torch.equal(u, again):
        return float("inf")
    return max(
        miss_of_values(u, expected, *ROUNDED[dtype]),
        # Columns that fill up have a gradient of zero.
        miss_of_values(grad_h, gradient.nan_to_num(), *ROUNDED[dtype]),
    )


def _groups(tessellation: Tessellation) -> Tensor:
    """Returns Γ by the reference, on the device that is the default."""
    return group_index_reference(tessellation, device=torch.get_default_device())


def miss_of_values(found: Tensor, expected: Tensor, rtol: float, atol: float) -> float:
    """Returns the largest error over what is allowed for it; infinite where one is no number.

    Args:
        found: of any shape.
        expected: of the same shape, as wide or wider.
        rtol: allowed share of the expected size.
        atol: allowed besides.
    """
    wide = expected.detach().double()
    over = (found.detach().double() - wide).abs() / (rtol * wide.abs() + atol)
    return float(over.nan_to_num(nan=torch.inf).max())


def miss_of_sums(sums: Tensor, terms: Tensor, index: Tensor, *, scale: Tensor) -> float:
    """Returns the largest error of sums over groups, over what is allowed for it.

    Args:
        sums: what a kernel gives, [K], float32.
        terms: what is summed, [O, I], float64.
        index: Γ, [O, I].
        scale: how much the numbers that each term is made of amount to, [O, I], float64.
    """
    zeros = torch.zeros(sums.shape[0], dtype=torch.float64, device=sums.device)
    flat = index.long().view(-1)
    expected = zeros.index_add(0, flat, terms.reshape(-1))
    allowed = SUM_TOLERANCE * zeros.index_add(0, flat, scale.reshape(-1))
    error = (sums.double() - expected).abs()
    # An empty group has zero, and nothing is allowed for it.
    over = torch.where(error == 0, 0.0, error / allowed)
    return float(over.nan_to_num(nan=torch.inf).max())
