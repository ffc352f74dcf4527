from typing import Any

import pytest
import torch
from torch.testing import assert_close

from sweeper_kernels import masa_linear, masa_linear_reference, using
from sweeper_kernels._routing import Routing
from sweeper_kernels._triton.masa import gate_backward, gate_forward
from tests.kernels.triton.cases import name_of
from tests.whole import few

# The same numbers in float32, summed in another order; of other types rounded once, at the end.
TOLERANCES: dict[torch.dtype, dict[str, Any]] = {
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.float16: {"rtol": 1e-3, "atol": 1e-4},
    torch.bfloat16: {"rtol": 8e-3, "atol": 1e-3},
}
SIZES = [(1, 1, 1), (5, 1, 8), (3, 2, 3), (8, 1, 16), (2, 5, 1), (9, 3, 4), (17, 2, 5)]


def plain(h, routing):
    """Gates and features, straight from the order of the columns."""
    features = h[:, : routing.features].view(-1, routing.experts, routing.rank)
    scores = h[:, routing.features :].view(-1, routing.up_projections, routing.width)
    scores = scores[:, :, : routing.experts]
    return torch.softmax(scores.flatten(1), 1).view(scores.shape), features


def drawn(tokens, routing, dtype, device):
    """h and a gradient of u; columns that only fill up have NaN, as nothing may depend on them."""
    h = torch.randn(tokens, routing.columns, device=device).to(dtype)
    h[:, routing.features :].view(-1, routing.up_projections, routing.width)[
        :, :, routing.experts :
    ] = torch.nan
    grad_u = torch.randn(tokens, routing.up_projections * routing.rank, device=device)
    return h, grad_u.to(dtype)


@pytest.mark.parametrize("dtype", list(TOLERANCES), ids=name_of)
@pytest.mark.parametrize("tokens", [1, 63, 100])
@pytest.mark.parametrize("sizes", few(SIZES, (5, 1, 8), (3, 2, 3)), ids=str)
def test_gates(sizes, tokens, dtype, device):
    routing = Routing(*sizes)
    h, grad_u = drawn(tokens, routing, dtype, device)
    named = dict(zip(("experts", "up_projections", "rank"), sizes, strict=True))
    wide = h.double().requires_grad_()
    gates, features = plain(wide, routing)
    expected = torch.einsum("tji,tir->tjr", gates, features).flatten(1)
    [gradient] = torch.autograd.grad(expected, wide, grad_u.double())
    # Columns that fill up have a gradient of zero.
    gradient = gradient.nan_to_num()
    u = gate_forward(h, **named)
    grad_h, again = gate_backward(h, grad_u, **named)
    assert u.dtype == again.dtype == grad_h.dtype == dtype
    assert_close(u.double(), expected, **TOLERANCES[dtype])
    assert torch.equal(u, again)
    assert_close(grad_h.double(), gradient, **TOLERANCES[dtype])


def test_no_tokens(device):
    routing = Routing(3, 1, 2)
    h, grad_u = drawn(0, routing, torch.float32, device)
    assert gate_forward(h, experts=3, up_projections=1, rank=2).shape == (0, 2)
    grad_h, u = gate_backward(h, grad_u, experts=3, up_projections=1, rank=2)
    assert grad_h.shape == h.shape
    assert u.shape == (0, 2)


def test_scores_far_apart_do_not_overflow(device):
    routing = Routing(3, 2, 2)
    h, grad_u = drawn(9, routing, torch.float32, device)
    h[:, routing.features :] *= 1000
    named: dict[str, Any] = {"experts": 3, "up_projections": 2, "rank": 2}
    assert torch.isfinite(gate_forward(h, **named)).all()
    assert all(torch.isfinite(tensor).all() for tensor in gate_backward(h, grad_u, **named))


def test_many_experts_of_a_large_rank(device):
    # More than a program has at once for one token.
    routing = Routing(40, 1, 70)
    h, grad_u = drawn(3, routing, torch.float32, device)
    gates, features = plain(h, routing)
    u = gate_forward(h, experts=40, up_projections=1, rank=70)
    assert_close(u, (gates @ features).flatten(1), **TOLERANCES[torch.float32])
    _, again = gate_backward(h, grad_u, experts=40, up_projections=1, rank=70)
    assert torch.equal(u, again)


@pytest.mark.parametrize("sizes", [(5, 1, 8), (3, 2, 3)], ids=str)
def test_the_layer_uses_them(sizes, device, monkeypatch):
    from sweeper_kernels._triton import masa

    experts, ups, rank = sizes
    shapes = {
        "x": (2, 9, 30),
        "down": (experts, rank, 30),
        "up": (ups, 20, rank),
        "weight": (20, 30),
        "router": (experts * ups, 30),
    }
    given = {name: torch.randn(s, device=device).requires_grad_() for name, s in shapes.items()}
    calls = []
    for name in ("gate_forward", "gate_backward"):
        kernel = getattr(masa, name)

        def recorded(*arguments, kernel=kernel, name=name, **options):
            calls.append(name)
            return kernel(*arguments, **options)

        monkeypatch.setattr(masa, name, recorded)
    with using("triton"):
        y = masa_linear(**given, scale=0.5)
        found = torch.autograd.grad(y.square().sum(), list(given.values()))
    assert calls == ["gate_forward", "gate_backward"]
    expected_y = masa_linear_reference(**given, scale=0.5)
    expected = torch.autograd.grad(expected_y.square().sum(), list(given.values()))
    # Values up to a thousand.
    assert_close(y, expected_y, rtol=1e-5, atol=1e-3)
    for name, gradient, other in zip(given, found, expected, strict=True):
        assert_close({name: gradient}, {name: other}, rtol=1e-4, atol=1e-2)
