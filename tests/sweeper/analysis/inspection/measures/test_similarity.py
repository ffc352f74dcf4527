import itertools
import math

import pytest
import torch

from sweeper.analysis.inspection.measures import (
    SimilarityStream,
    debiased_cka,
    jackknife,
    unbiased_hsic,
)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cka(x, y):
    pairs = ((x, y), (x, x), (y, y))
    return debiased_cka(*(float(unbiased_hsic(a, b).mean()) for a, b in pairs))


def by_definition(x, y):
    """Song et al. 2012, Eq. 4: over all four rows that differ."""
    k, ell = x @ x.T, y @ y.T
    terms = [
        k[i, j] * ell[i, j] + k[i, j] * ell[q, r] - 2 * k[i, j] * ell[i, q]
        for i, j, q, r in itertools.permutations(range(len(x)), 4)
    ]
    return float(torch.stack(terms).mean())


def test_hsic_is_what_its_definition_says():
    x, y = drawn(6, 3), drawn(6, 2, seed=1)
    assert float(unbiased_hsic(x[None], y[None])) == pytest.approx(by_definition(x, y))


def test_features_far_from_zero_do_not_change_it():
    x, y = drawn(1, 8, 3), drawn(1, 8, 2, seed=1)
    assert float(unbiased_hsic(x + 1e4, y)) == pytest.approx(float(unbiased_hsic(x, y)))


def test_the_same_features_have_1_also_turned_and_scaled():
    x = drawn(4, 16, 5)
    turn = torch.linalg.qr(drawn(5, 5, seed=2)).Q
    assert cka(x, x) == pytest.approx(1)
    assert cka(x, -3 * x @ turn) == pytest.approx(1)


def test_orthogonal_features_have_0():
    x = drawn(2000, 16, 8)
    assert abs(cka(x[..., :4], x[..., 4:])) < 0.01


def test_wide_independent_features_have_0_where_the_biased_estimate_has_far_more():
    x, y = drawn(64, 16, 100), drawn(64, 16, 100, seed=1)
    stream = SimilarityStream()
    for one, other in zip(x, y, strict=True):
        stream.add("a", one[None])
        stream.add("a", other[None])
        stream.end_batch()
    found = jackknife(stream.blocks()["a"][:, 0], lambda mean: debiased_cka(*mean))
    assert found.standard_error is not None
    assert abs(found.value) < 3 * found.standard_error < 0.2
    centred = [each[0] - each[0].mean(0) for each in (x, y)]
    k, ell = (each @ each.T for each in centred)
    assert float((k * ell).sum() / (k.norm() * ell.norm())) > 0.7


def test_half_of_the_features_in_common_is_half_of_the_likeness():
    x = drawn(3000, 16, 6)
    assert cka(x[..., :4], x[..., 2:]) == pytest.approx(0.5, abs=0.01)


def test_streamed_is_as_all_at_once():
    layers = [drawn(24, 16, width, seed=width) for width in (3, 5, 4)]
    stream = SimilarityStream()
    for start in range(0, 24, 4):
        for layer in layers:
            stream.add("a", layer[start : start + 4])
        stream.end_batch()
    found = stream.blocks()["a"].mean(axis=0)
    for place, (x, y) in enumerate(itertools.pairwise(layers)):
        for column, pair in enumerate(((x, y), (x, x), (y, y))):
            assert found[place, column] == pytest.approx(float(unbiased_hsic(*pair).mean()))


def test_it_keeps_three_numbers_of_a_pair_whatever_the_tokens():
    stream = SimilarityStream()
    for _ in range(3):
        for chain, _ in itertools.product(("a", "b"), range(4)):
            stream.add(chain, drawn(8, 16, 40))
        stream.end_batch()
    assert {chain: own.shape for chain, own in stream.blocks().items()} == {
        "a": (3, 3, 3),
        "b": (3, 3, 3),
    }
    assert not stream._kernels


def test_features_that_do_not_vary_have_none():
    x = drawn(1, 8, 3)
    assert math.isnan(cka(x, torch.ones(1, 8, 3)))


def test_three_rows_are_too_few():
    with pytest.raises(ValueError, match=r"got 3 rows.* needs 4 or more"):
        unbiased_hsic(drawn(1, 3, 2), drawn(1, 3, 2))
