"""The prior of learning rates, fitted to the best rates of cells.

The model is linear and normal: the logarithm of a cell's best rate is its method's value, plus what
is its model's own, plus exponents times the logarithms of its size and of its model's width, plus
noise. Exponents have what is published for their expectation, values of methods spread around a
mean. How far they spread, and the noise, are the likeliest of a grid. A value is told for the mean
of the models, and of each model what it differs by.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from benchmarks.curves.table import CurveTable
from benchmarks.rates.cells import Cell, cells_of, content_of, model_of, shape_of
from sweeper.experiment.space.rates import RatePrior, Slope, size_of

__all__ = ["BY_ALPHA", "fit", "fitted", "said_of"]

_Floats = NDArray[np.float64]

# Published: see sweeper/experiment/space/rates/prior.py. The spreads hold what sources disagree by.
_BY_SIZE = Slope(exponent=0.19, spread=0.1)
_BY_WIDTH = Slope(exponent=-0.781, spread=0.25)
BY_ALPHA = Slope(exponent=-0.38, spread=0.2)
"""How the best rate moves with alpha, which no table varies."""

# What one model's rates differ by from another's of its width, in decades: the two families of the
# tinker-cookbook differ by a factor of 2 to 3 at 4096 channels.
_BY_MODEL = 0.25
# Of the mean of all methods, in decades: nothing is known of it but its order of magnitude.
_MEAN, _MEAN_SPREAD = -2.5, 1.0
# In decades, of methods around their mean and of a cell around what is expected of it.
_METHOD_SPREADS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
_NOISES = (0.05, 0.08, 0.12, 0.18, 0.25, 0.35)
_DIGITS = 4


@dataclass(frozen=True)
class _Linear:
    """``y = X θ`` and noise, θ normal with mean m and covariance S (diagonal)."""

    X: _Floats
    y: _Floats
    m: _Floats
    S: _Floats

    def covariance(self, noise: float) -> _Floats:
        """Returns that of y."""
        spread = self.X @ np.diag(self.S) @ self.X.T
        return np.asarray(spread + noise**2 * np.eye(len(self.y)), np.float64)

    def log_likelihood(self, noise: float) -> float:
        """Returns the logarithm of the marginal likelihood."""
        found = multivariate_normal.logpdf(self.y, self.X @ self.m, self.covariance(noise))
        return float(found)

    def posterior(self, noise: float) -> tuple[_Floats, _Floats]:
        """Returns mean and covariance of θ."""
        gain = np.linalg.solve(self.covariance(noise), self.X * self.S).T
        mean = self.m + gain @ (self.y - self.X @ self.m)
        return np.asarray(mean), np.asarray(np.diag(self.S) - gain @ self.X * self.S)


def fit(cells: Sequence[Cell], *, tables: Sequence[dict[str, Any]]) -> RatePrior:
    """Returns the prior of some cells.

    Args:
        cells: one at least.
        tables: what they are of, see :func:`said_of`.
    """
    labels = list(dict.fromkeys(cell.method.label for cell in cells))
    models = list(dict.fromkeys(cell.model for cell in cells))
    sizes = np.array([_size(cell) for cell in cells])
    widths = np.array([float(cell.shape.hidden_size) for cell in cells])
    size, width = (float(np.exp(np.log(x).mean())) for x in (sizes, widths))
    of_method = np.array([[cell.method.label == label for label in labels] for cell in cells])
    of_model = np.array([[cell.model == model for model in models] for cell in cells])
    exponents = [np.log10(sizes / size), np.log10(widths / width)]
    X = np.column_stack([np.ones(len(cells)), of_model, of_method, *exponents])
    y = np.array([cell.best_log10_rate for cell in cells])
    linear, spread, noise = _likeliest(X, y, models=len(models), methods=len(labels))
    mean, covariance = linear.posterior(noise)
    alphas = {cell.method.label: _alpha(cell) for cell in cells}
    # Of the mean method on the mean model.
    weights = np.zeros(len(mean))
    weights[: 1 + len(models)] = [1, *[1 / len(models)] * len(models)]
    of_one = np.eye(len(mean))[1 + len(models) :]
    methods = {
        label: {**_sum_of(mean, covariance, weights + of_one[place]), "alpha": alphas[label]}
        for place, label in enumerate(labels)
    }
    own = np.eye(len(mean))[1 : 1 + len(models)]
    own[:, 1 : 1 + len(models)] -= 1 / len(models)
    others = _sum_of(mean, covariance, weights)
    others["spread"] = round(float(np.hypot(others["spread"], spread)), _DIGITS)
    return RatePrior.model_validate(
        {
            "tables": list(tables),
            "size": round(size, _DIGITS),
            "width": round(width, _DIGITS),
            "methods": methods,
            "others": others,
            "models": [
                _own(name, cells, _sum_of(mean, covariance, own[place]))
                for place, name in enumerate(models)
            ],
            "by_size": _slope(mean, covariance, -2),
            "by_alpha": BY_ALPHA,
            "by_width": _slope(mean, covariance, -1),
            "by_model": _BY_MODEL,
            "noise": noise,
        }
    )


def fitted(tables: Sequence[CurveTable]) -> RatePrior:
    """Returns the prior of all cells of some tables."""
    cells = [cell for table in tables for cell in cells_of(table)]
    return fit(cells, tables=[said_of(table) for table in tables])


def said_of(table: CurveTable) -> dict[str, Any]:
    """Returns what a prior says of a table that it is fitted to."""
    about = table.about
    return {
        "model": model_of(table),
        "width": shape_of(table).hidden_size,
        "content": content_of(table),
        "trainings": len(table.method),
        "ranks": list(about.ranks),
        "rates": list(about.rates),
        "seeds": list(about.seeds),
        "versions": about.versions,
    }


def _likeliest(
    X: _Floats, y: _Floats, *, models: int, methods: int
) -> tuple[_Linear, float, float]:
    """Returns the model, the spread of methods and the noise with the largest likelihood."""
    m = np.array([_MEAN, *[0.0] * (models + methods), _BY_SIZE.exponent, _BY_WIDTH.exponent])
    found = []
    for spread, noise in itertools.product(_METHOD_SPREADS, _NOISES):
        of_all = [_MEAN_SPREAD, *[_BY_MODEL] * models, *[spread] * methods]
        spreads = [*of_all, _BY_SIZE.spread, _BY_WIDTH.spread]
        found.append((_Linear(X, y, m, np.array(spreads) ** 2), spread, noise))
    return max(found, key=lambda x: x[0].log_likelihood(x[2]))


def _sum_of(mean: _Floats, covariance: _Floats, weights: _Floats) -> dict[str, Any]:
    """Returns a weighted sum of parameters and its standard deviation."""
    spread = float(np.sqrt(weights @ covariance @ weights))
    return {
        "log10_rate": round(float(weights @ mean), _DIGITS),
        "spread": round(spread, _DIGITS),
    }


def _own(name: str, cells: Sequence[Cell], found: dict[str, Any]) -> dict[str, Any]:
    """Returns what is a model's own, as the prior has it."""
    width = next(cell.shape.hidden_size for cell in cells if cell.model == name)
    return {
        "name": name,
        "width": width,
        "decades": found["log10_rate"],
        "spread": found["spread"],
    }


def _slope(mean: _Floats, covariance: _Floats, place: int) -> Slope:
    spread = float(np.sqrt(covariance[place, place]))
    return Slope(exponent=round(float(mean[place]), _DIGITS), spread=round(spread, _DIGITS))


def _size(cell: Cell) -> float:
    found = size_of(cell.method, cell.shape)
    assert found is not None, "make curves trains methods that adapt layers"
    return found


def _alpha(cell: Cell) -> float | None:
    scale = cell.method.scale_field
    return None if scale is None else float(getattr(cell.method, scale))
