import numpy as np
import pytest
import torch

from sweeper.analysis.inspection.measures import GradientProducts, GradientStream, cosines_of

BATCHES, SIZE = 8, 200


def gradients(means, noise, seed=0):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(len(means), BATCHES, SIZE, generator=generator)
    return torch.stack([mean + noise * own for mean, own in zip(means, drawn, strict=True)])


def streamed(found) -> GradientProducts:
    stream = GradientStream(len(found))
    for task, own in enumerate(found):
        for gradient in own:
            stream.add(task, gradient)
    for batch in range(found.shape[1]):
        stream.compare(list(found[:, batch]))
    return stream.products()


def directions():
    basis = torch.eye(SIZE)
    return [basis[0], -2 * basis[0], basis[1], (basis[0] + basis[1]) / 2**0.5]


def test_opposite_orthogonal_and_slanted_gradients_are_told():
    found = cosines_of(streamed(gradients(directions(), noise=0.0)))
    values = [[cell.value for cell in row] for row in found.cosines]
    half = 2**-0.5
    assert np.array(values) == pytest.approx(
        np.array([[1, -1, 0, half], [-1, 1, 0, -half], [0, 0, 1, half], [half, -half, half, 1]]),
        abs=1e-5,
    )
    assert found.norms == pytest.approx((1, 2, 1, 1), rel=1e-5)
    assert all(found.are_told)


def test_noise_does_not_draw_a_cosine_to_0():
    """Noise as long as the gradient itself: the plain cosine of two means is 11 % too small."""
    means = [torch.ones(SIZE) / SIZE**0.5] * 2
    noise = 1 / SIZE**0.5
    debiased, plain = [], []
    for seed in range(60):
        own = gradients(means, noise, seed=seed)
        debiased.append(cosines_of(streamed(own)).cosines[0][1].value)
        first, second = own.mean(dim=1)
        plain.append(float(torch.cosine_similarity(first, second, dim=0)))
    assert np.mean(debiased) == pytest.approx(1, abs=0.02)
    assert np.mean(plain) == pytest.approx(1 / (1 + 1 / BATCHES), abs=0.02)


def test_the_error_is_a_jackknife_over_batches():
    own = gradients(directions()[:3], noise=0.05)
    products = streamed(own)
    found = cosines_of(products).cosines[0][1]
    without = []
    for batch in range(BATCHES):
        kept = [number for number in range(BATCHES) if number != batch]
        without.append(cosines_of(streamed(own[:, kept])).cosines[0][1].value)
    expected = np.sqrt(
        (BATCHES - 1) / BATCHES * ((np.array(without) - np.mean(without)) ** 2).sum()
    )
    assert found.standard_error == pytest.approx(expected)
    assert found.count == BATCHES


def test_a_gradient_that_is_noise_has_no_cosine():
    means = [torch.ones(SIZE), torch.zeros(SIZE)]
    told = [cosines_of(streamed(gradients(means, 1.0, seed=seed))) for seed in range(20)]
    assert all(each.are_told[0] for each in told)
    assert sum(each.are_told[1] for each in told) <= 3
    assert np.isnan([each.cosines[0][1].value for each in told if not each.are_told[1]]).all()
