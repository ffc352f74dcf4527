"""The leading part of a matrix, exact and by chance."""

import pytest
import torch
from torch.testing import assert_close

from sweeper_adapters._tuner.decomposition import decompose_leading


@pytest.mark.parametrize("shape", [(700, 600), (560, 900)])
def test_a_large_matrix_is_decomposed_by_chance_but_always_alike(shape):
    # A spectrum that falls as a weight's does.
    smaller = min(shape)
    left = torch.linalg.qr(torch.randn(shape[0], smaller)).Q
    right = torch.linalg.qr(torch.randn(shape[1], smaller)).Q
    matrix = left * torch.arange(1, smaller + 1) ** -0.5 @ right.T
    state = torch.get_rng_state()
    u, s, v = decompose_leading(matrix, 6, iterations=16)
    assert torch.equal(torch.get_rng_state(), state)
    assert (u.shape, s.shape, v.shape) == ((shape[0], 6), (6,), (6, shape[1]))
    for other, again in zip((u, s, v), decompose_leading(matrix, 6, iterations=16), strict=True):
        assert torch.equal(other, again)
    exact_u, exact_s, exact_v = decompose_leading(matrix, 6, iterations=None)
    assert not torch.equal(s, exact_s)
    assert_close(s, exact_s, rtol=1e-5, atol=0)
    assert_close(u * s @ v, exact_u * exact_s @ exact_v, rtol=0, atol=1e-5)


def test_a_small_matrix_is_decomposed_exactly():
    matrix = torch.randn(600, 100)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    u, s, v = decompose_leading(matrix, 3, iterations=1)
    assert torch.equal(u, left[:, :3])
    assert torch.equal(s, values[:3])
    assert torch.equal(v, right[:3])
