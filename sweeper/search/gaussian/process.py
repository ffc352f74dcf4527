"""A Gaussian process whose noise is known, fitted to values that trials have reached."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

__all__ = ["Columns", "Process", "fitted"]

_Floats = NDArray[np.float64]

# Values that the process's parameters are tried at; the first fit begins with the middle one.
_LENGTHS = (0.15, 0.3, 0.6, 1.2)
_CORRELATIONS = (0.3, 0.6, 0.9)
_VARIANCES = (0.5, 1.0, 2.0)
_NOISES = (0.001, 0.01, 0.1)
# Of a standardised value: keeps matrices from being singular where two trials are alike.
_JITTER = 1e-4
_ROUNDS = 3


@dataclass(frozen=True)
class Columns:
    """What the columns of a point's vector are, after that of its method."""

    categorical: tuple[bool, ...]
    """Whether a column's numbers only tell values apart."""
    common: tuple[bool, ...]
    """Whether all methods have it."""


@dataclass(frozen=True)
class _Kernel:
    """Covariances of points.

    What is searched is taken for the sum of two functions: one of the columns that all methods
    have, and one of each method's own. Two points have a covariance of ``variance · common ·
    (methods + (1 - methods) · own)``, with a product over the common columns and one over those of
    the method, which is 0 for two methods. A product over columns that only some points have would
    be no covariance.
    """

    variance: float
    methods: float
    """Correlation of two methods, else alike."""
    scales: tuple[float, ...]
    """Of each column the length of a Matérn 5/2 kernel, or the correlation of two categories."""
    noise: float
    """Variance of a value whose own is not known."""


class _Distances:
    """What a kernel needs of two lists of points, each factor computed once."""

    def __init__(self, first: _Floats, second: _Floats, columns: Columns) -> None:
        self._first, self._second, self._columns = first, second, columns
        self._apart = functools.lru_cache(maxsize=None)(self._distance)
        self._factor = functools.lru_cache(maxsize=None)(self._computed)
        self._is_alike = first[:, None, 0] == second[None, :, 0]

    def covariance(self, kernel: _Kernel) -> _Floats:
        """Returns float64 [n, m]."""
        common, own = np.ones(self._is_alike.shape), self._is_alike.astype(float)
        for place, (scale, is_common) in enumerate(
            zip(kernel.scales, self._columns.common, strict=True)
        ):
            if is_common:
                common *= self._factor(place, scale)
            else:
                own *= self._factor(place, scale)
        shared = kernel.methods + (1.0 - kernel.methods) * own
        return np.asarray(kernel.variance * common * shared)

    def _distance(self, place: int) -> _Floats:
        between = np.abs(self._first[:, None, 1 + place] - self._second[None, :, 1 + place])
        # Two points of a method that has not the field are alike in it.
        between[np.isnan(between)] = 0.0
        return np.asarray(between)

    def _computed(self, place: int, scale: float) -> _Floats:
        apart = self._apart(place)
        if self._columns.categorical[place]:
            return np.where(apart == 0, 1.0, scale)
        distance = np.sqrt(5.0) * apart / scale
        return np.asarray((1.0 + distance + distance**2 / 3.0) * np.exp(-distance))


@dataclass(frozen=True)
class Process:
    """A process that has seen values."""

    _seen: _Floats
    _y: _Floats
    _noise: _Floats
    _columns: Columns
    _kernel: _Kernel

    @functools.cached_property
    def _factor(self) -> _Floats:
        within = _Distances(self._seen, self._seen, self._columns)
        return _factor(within, self._kernel, self._noise)

    def at(self, points: _Floats) -> tuple[_Floats, _Floats]:
        """Returns mean and standard deviation of the values at points, float64 [m] each.

        Args:
            points: vectors of :class:`~sweeper.search.gaussian.Features`.
        """
        across = self._across(points)
        mean = self._mean(across)
        part = solve_triangular(self._factor, across, lower=True)
        variance = self._kernel.variance - np.einsum("ij,ij->j", part, part)
        return mean, np.sqrt(np.maximum(variance, 1e-12))

    def believing(self, points: _Floats) -> Process:
        """Returns the process as if its mean had been seen at points, without noise."""
        if not len(points):
            return self
        mean = self._mean(self._across(points))
        return replace(
            self,
            _seen=np.concatenate([self._seen, points]),
            _y=np.concatenate([self._y, mean]),
            _noise=np.concatenate([self._noise, np.zeros(len(points))]),
        )

    def best_mean(self) -> float:
        """Returns the smallest mean at a point that was seen: its values are noisy."""
        return float(self._mean(self._across(self._seen)).min())

    def _across(self, points: _Floats) -> _Floats:
        return _Distances(self._seen, points, self._columns).covariance(self._kernel)

    def _mean(self, across: _Floats) -> _Floats:
        return np.asarray(across.T @ cho_solve((self._factor, True), self._y))


def fitted(points: _Floats, y: _Floats, noise: _Floats, *, columns: Columns) -> Process:
    """Returns the process with the largest marginal likelihood, parameter by parameter.

    Args:
        points: float64 [n, 1 + columns], vectors of :class:`~sweeper.search.gaussian.Features`.
        y: float64 [n], standardised.
        noise: float64 [n], the variance of each value's noise; not a number where that is not
            known, and then one for all of these is fitted.
        columns: what the columns are.
    """
    within = _Distances(points, points, columns)
    scales = tuple(_CORRELATIONS[1] if x else _LENGTHS[1] for x in columns.categorical)
    kernel = _Kernel(_VARIANCES[1], _CORRELATIONS[1], scales, _NOISES[1])
    likelihood = functools.lru_cache(maxsize=None)(
        functools.partial(_log_likelihood, within, y=y, noise=noise)
    )
    for _ in range(_ROUNDS):
        before = kernel
        for field, values in _grids(points, noise, columns).items():
            # The first of several that are equally likely: with no information it stays.
            kernel = max([kernel, *(_with(kernel, field, x) for x in values)], key=likelihood)
        if kernel == before:
            break
    return Process(points, y, _filled(noise, kernel), columns, kernel)


def _grids(points: _Floats, noise: _Floats, columns: Columns) -> dict[str | int, tuple[float, ...]]:
    """Returns the values of each parameter that the points can say anything of."""
    found: dict[str | int, tuple[float, ...]] = {}
    for column, is_category in enumerate(columns.categorical):
        own = points[:, 1 + column]
        if len(np.unique(own[~np.isnan(own)])) > 1:
            found[column] = _CORRELATIONS if is_category else _LENGTHS
    if len(np.unique(points[:, 0])) > 1:
        found["methods"] = _CORRELATIONS
    if np.isnan(noise).any():
        found["noise"] = _NOISES
    return {**found, "variance": _VARIANCES}


def _with(kernel: _Kernel, field: str | int, value: float) -> _Kernel:
    match field:
        case "methods":
            return replace(kernel, methods=value)
        case "noise":
            return replace(kernel, noise=value)
        case "variance":
            return replace(kernel, variance=value)
    assert isinstance(field, int)
    scales = (*kernel.scales[:field], value, *kernel.scales[field + 1 :])
    return replace(kernel, scales=scales)


def _filled(noise: _Floats, kernel: _Kernel) -> _Floats:
    return np.where(np.isnan(noise), kernel.noise, noise)


def _factor(within: _Distances, kernel: _Kernel, noise: _Floats) -> _Floats:
    covariance = within.covariance(kernel)
    covariance[np.diag_indices_from(covariance)] += noise + _JITTER
    return np.asarray(np.linalg.cholesky(covariance), np.float64)


def _log_likelihood(within: _Distances, kernel: _Kernel, *, y: _Floats, noise: _Floats) -> float:
    factor = _factor(within, kernel, _filled(noise, kernel))
    return float(-0.5 * y @ cho_solve((factor, True), y) - np.log(np.diag(factor)).sum())
