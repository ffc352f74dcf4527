"""The Gaussian process against the textbook's formulas."""

import numpy as np
import pytest
from scipy import stats

from sweeper.search.gaussian import Columns, fitted
from sweeper.search.gaussian import process as module
from sweeper.search.gaussian.process import Process

# Both methods have the length, and one the category.
COLUMNS = Columns(categorical=(True, False), common=(False, True))


def points(count: int, *, seed: int = 1) -> np.ndarray:
    chance = np.random.default_rng(seed)
    columns = [chance.integers(3, size=count), chance.integers(2, size=count), chance.random(count)]
    return np.stack(columns, axis=1).astype(float)


def covariance(kernel: module._Kernel, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of the method, a category and a length, entry by entry."""
    found = np.empty((len(first), len(second)))
    for place in np.ndindex(found.shape):
        one, other = first[place[0]], second[place[1]]
        distance = np.sqrt(5) * abs(one[2] - other[2]) / kernel.scales[1]
        own = 1 if one[1] == other[1] else kernel.scales[0]
        found[place] = (
            kernel.variance
            * (kernel.methods + (1 - kernel.methods) * own * (one[0] == other[0]))
            * (1 + distance + distance**2 / 3)
            * np.exp(-distance)
        )
    return found


KERNEL = module._Kernel(variance=1.5, methods=0.6, scales=(0.9, 0.3), noise=0.1)


def test_the_posterior_is_the_textbook_one():
    seen, asked = points(9), points(14)[9:]
    y, noise = np.sin(seen[:, 2]), np.linspace(0.01, 0.4, 9)
    mean, deviation = Process(seen, y, noise, COLUMNS, KERNEL).at(asked)
    jitter = module._JITTER * np.eye(9)
    inverse = np.linalg.inv(covariance(KERNEL, seen, seen) + np.diag(noise) + jitter)
    across = covariance(KERNEL, asked, seen)
    assert mean == pytest.approx(across @ inverse @ y)
    expected = covariance(KERNEL, asked, asked) - across @ inverse @ across.T
    assert deviation**2 == pytest.approx(np.diag(expected))


def test_the_likelihood_is_that_of_a_normal_vector():
    seen = points(7)
    y, noise = np.cos(5 * seen[:, 2]), np.linspace(0.01, 0.4, 7)
    within = module._Distances(seen, seen, COLUMNS)
    other = module._Kernel(0.5, 0.3, (0.3, 1.2), 0.1)
    found = [module._log_likelihood(within, x, y=y, noise=noise) for x in (KERNEL, other)]
    jitter = module._JITTER * np.eye(7)
    expected = [
        stats.multivariate_normal.logpdf(y, cov=covariance(x, seen, seen) + np.diag(noise) + jitter)
        for x in (KERNEL, other)
    ]
    # They leave the constant out.
    assert found[0] - found[1] == pytest.approx(expected[0] - expected[1])


def test_no_single_parameter_makes_what_was_fitted_likelier():
    seen = points(30)
    y = np.sin(6 * seen[:, 2]) + 0.5 * seen[:, 1]
    noise = np.full(30, 0.01)
    kernel = fitted(seen, y, noise, columns=COLUMNS)._kernel
    within = module._Distances(seen, seen, COLUMNS)
    best = module._log_likelihood(within, kernel, y=y, noise=noise)
    for field, values in module._grids(seen, noise, COLUMNS).items():
        for value in values:
            tried = module._with(kernel, field, value)
            assert module._log_likelihood(within, tried, y=y, noise=noise) <= best


def test_noise_is_fitted_where_none_is_known_and_only_there():
    chance = np.random.default_rng(0)
    seen = np.stack([np.zeros(60), np.zeros(60), chance.random(60)], axis=1)
    smooth = seen[:, 2] - 0.5
    unknown = np.full(60, np.nan)
    quiet = fitted(seen, smooth, unknown, columns=COLUMNS)
    loud = fitted(seen, smooth + 0.3 * chance.standard_normal(60), unknown, columns=COLUMNS)
    assert quiet._kernel.noise < loud._kernel.noise == max(module._NOISES)
    assert (loud._noise == loud._kernel.noise).all()
    known = fitted(seen, smooth, np.full(60, 0.2), columns=COLUMNS)
    assert (known._noise == 0.2).all()


def test_a_noisy_value_is_believed_less():
    seen = np.array([[0.0, 0.0, rate / 6] for rate in range(7)])
    y = np.array([0.3, 0.3, -2.0, 0.3, 0.2, 0.1, -0.1])

    def lowest(noise: float) -> int:
        known = np.full(7, 0.01)
        known[2] = noise
        return int(np.argmin(fitted(seen, y, known, columns=COLUMNS).at(seen)[0]))

    assert lowest(0.01) == 2
    # Were it as uncertain as this, the rates at the end would be the better bet.
    assert lowest(400.0) == 6


def test_what_runs_is_believed_and_leaves_the_mean_as_it_is():
    seen = points(8)
    process = fitted(seen, np.sin(seen[:, 2]), np.full(8, 0.01), columns=COLUMNS)
    asked = points(12, seed=5)[8:]
    believing = process.believing(asked)
    before, after = process.at(asked), believing.at(asked)
    assert after[0] == pytest.approx(before[0], abs=1e-3)
    assert (after[1] < before[1]).all()
    assert process.believing(np.empty((0, 3))) is process


def test_what_only_some_methods_have_leaves_a_covariance():
    chance = np.random.default_rng(2)
    seen = points(40)
    # Of three methods one has not the length, and one neither field.
    seen[seen[:, 0] == 1, 2] = np.nan
    seen[seen[:, 0] == 2, 1:] = np.nan
    columns = Columns(categorical=(True, False), common=(False, False))
    within = module._Distances(seen, seen, columns)
    for _ in range(50):
        kernel = module._Kernel(
            chance.choice(module._VARIANCES),
            chance.choice(module._CORRELATIONS),
            (chance.choice(module._CORRELATIONS), chance.choice(module._LENGTHS)),
            0.1,
        )
        found = within.covariance(kernel)
        assert np.diag(found) == pytest.approx(kernel.variance)
        assert np.linalg.eigvalsh(found).min() > -1e-9
