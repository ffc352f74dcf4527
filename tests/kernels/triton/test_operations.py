"""The public operations on the kernels for GPUs: forward, backward, and the way to them."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from sweeper_kernels import (
    Tessellation,
    group_index,
    mosa_linear,
    mosa_linear_reference,
    segment_sum,
    segment_sum_reference,
    using,
)

# Products of up to 70 numbers of size 1 in float32, in another order.
TOLERANCE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("strategy", ["brt", "col", "skewed"])
@pytest.mark.parametrize("has_weight", [True, False])
def test_a_mosa_layer_and_all_its_gradients(is_stored, strategy, has_weight, device):
    tessellation = Tessellation(65, 70, 100, strategy, seed=1)
    stored = group_index(tessellation, device=device)
    given = {
        "x": torch.randn(2, 9, 70, device=device),
        "values": torch.randn(100, device=device),
        **({"weight": torch.randn(65, 70, device=device)} if has_weight else {}),
        "bias": torch.randn(65, device=device),
    }
    given = {name: tensor.requires_grad_() for name, tensor in given.items()}
    grad_y = torch.randn(2, 9, 65, device=device)

    def run(function, index):
        y = function(
            given["x"], given["values"], index, weight=given.get("weight"), bias=given["bias"]
        )
        return [y, *torch.autograd.grad(y, list(given.values()), grad_y)]

    with using("triton"):
        found = run(mosa_linear, stored if is_stored else tessellation)
    for one, other in zip(found, run(mosa_linear_reference, stored), strict=True):
        assert_close(one, other, **TOLERANCE)


@pytest.mark.parametrize("is_stored", [True, False])
def test_sums_over_groups(is_stored, device):
    tessellation = Tessellation(65, 70, 100, seed=1)
    stored = group_index(tessellation, device=device)
    values = torch.randn(65, 70, device=device)
    with using("triton"):
        found = segment_sum(values, stored if is_stored else tessellation, groups=100)
    assert_close(found, segment_sum_reference(values, stored, groups=100), **TOLERANCE)
