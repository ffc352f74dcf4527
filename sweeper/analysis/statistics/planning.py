"""What a design can find out before it runs: from the components of variance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, nctdtrinc, ndtri, stdtrit

from sweeper.analysis.statistics.primitive import PRIOR_DF, components_of, pooled
from sweeper.analysis.statistics.questions.best import best_set
from sweeper.analysis.statistics.table import ScoreTable
from sweeper.analysis.statistics.units import with_seeds

__all__ = [
    "DEFAULTS",
    "MOST_ROWS",
    "MOST_SEEDS",
    "PAIR",
    "PlannedContrast",
    "VarianceComponents",
    "detectable",
    "needed_rows",
    "needed_seeds",
    "row_floor",
    "variance_components",
    "winner_probability",
]

MOST_SEEDS = 200
"""More are no plan."""
MOST_ROWS = 10_000_000
"""More are no plan."""
# Two-sided at 5 %, found in 80 %: 1.96 + 0.84.
_FLOOR_FACTOR = 2.8
# From here on noncentral t is normal to three digits.
_NORMAL_DF = 500.0
_SEED = 20_240_919


@dataclass(frozen=True)
class VarianceComponents:
    """Where the spread of a difference of two configurations comes from.

    Attributes:
        seed_variance: σ², of one configuration's true score over seeds.
        row_variance: ρ², of the true difference of the two over rows.
        residual_variance: e², of one seed's score on one row besides.
    """

    seed_variance: float
    row_variance: float
    residual_variance: float


DEFAULTS = VarianceComponents(seed_variance=0.005**2, row_variance=0.02, residual_variance=0.05)
"""Assumed where nothing was measured, for accuracies as fractions: another seed moves the accuracy
by a standard deviation of half a point and changes 10 % of the answers, another configuration 2 %
more. `docs/explanation/statistics.md` says where they come from."""


@dataclass(frozen=True)
class PlannedContrast:
    """A contrast of weights w, and what it is tested with, as far as planning asks.

    Attributes:
        squares: Σ w²; 2 for a difference of two.
        cells: (Σ w²)²/Σ w⁴, how many configurations it compares in effect; 2 for two.
        configurations: k, whose seed variances are pooled; 2 where none are.
        comparisons: Members of the family.
        alpha: Of the family, in (0, 1).
    """

    squares: float = 2.0
    cells: float = 2.0
    configurations: int = 2
    comparisons: int = 1
    alpha: float = 0.05

    @classmethod
    def of(
        cls, weights: ArrayLike, *, comparisons: int = 1, alpha: float = 0.05
    ) -> PlannedContrast:
        """Returns that of the weights of all k configurations, not all zero."""
        squares = np.square(np.asarray(weights, dtype=np.float64))
        whole = float(squares.sum())
        cells = whole**2 / float((squares**2).sum())
        return cls(whole, cells, len(squares), comparisons, alpha)


PAIR = PlannedContrast()


def detectable(
    components: VarianceComponents,
    *,
    seeds: ArrayLike,
    rows: ArrayLike,
    power: float = 0.8,
    contrast: PlannedContrast = PAIR,
) -> NDArray[np.float64]:
    """Returns the difference that is found with a given probability, by noncentral t.

    The squared error is Σw²/2 · (2σ²/S + ρ²/n + 2e²/(S n)); its degrees of freedom are those of
    :meth:`Components.contrasts` at expected values. Several comparisons share alpha (Bonferroni),
    which is a little more than the analysis asks.

    Args:
        components: Of variance.
        seeds: S, at least 2; an array broadcasts with `rows`.
        rows: n, at least 2.
        power: Of one comparison, in (0, 1).
        contrast: What is compared.
    """
    error = _error(components, seeds, rows, contrast)
    critical = stdtrit(error.df, 1.0 - contrast.alpha / contrast.comparisons / 2)
    # The ratio is to the estimated error, and what it varies with is the true one.
    ratio = np.sqrt(
        np.divide(
            error.estimate,
            error.variance,
            out=np.ones_like(error.variance),
            where=error.variance > 0,
        )
    )
    return np.asarray(_noncentrality(error.df, critical * ratio, power) * np.sqrt(error.variance))


def row_floor(
    components: VarianceComponents, rows: int, *, contrast: PlannedContrast = PAIR
) -> float:
    """Returns 2.8·ρ/√n of a pair, the difference that no number of seeds beats with n rows."""
    return _FLOOR_FACTOR * math.sqrt(contrast.squares / 2 * components.row_variance / rows)


def needed_seeds(
    components: VarianceComponents, delta: float, *, rows: int, contrast: PlannedContrast = PAIR
) -> int | None:
    """Returns with how many seeds `delta` is found in 80 %; None if not with 200.

    Args:
        components: Of variance.
        delta: Positive.
        rows: n.
        contrast: What is compared.
    """
    seeds = np.arange(2, MOST_SEEDS + 1)
    return _first(seeds, detectable(components, seeds=seeds, rows=rows, contrast=contrast), delta)


def needed_rows(
    components: VarianceComponents, delta: float, *, seeds: int, contrast: PlannedContrast = PAIR
) -> int | None:
    """Returns with how many rows `delta` is found in 80 %; None if not with ten million.

    Args:
        components: Of variance.
        delta: Positive.
        seeds: S.
        contrast: What is compared.
    """
    # Steps of 2 %: the answer is an estimate anyway.
    rows = np.unique(np.geomspace(2, MOST_ROWS, 800).round()).astype(np.int64)
    return _first(rows, detectable(components, seeds=seeds, rows=rows, contrast=contrast), delta)


def _first(counts: NDArray[np.int64], found: NDArray[np.float64], delta: float) -> int | None:
    """Returns the first of some counts with which what is found is no more than delta."""
    enough = np.flatnonzero(found <= delta)
    return int(counts[enough[0]]) if enough.size else None


def variance_components(table: ScoreTable) -> VarianceComponents | None:
    """Returns the components that a finished table shows, None where none has two seeds.

    Args:
        table: Of configurations on the same rows.

    Raises:
        BadInputError: The table is not one of comparable scores.
    """
    replicated = with_seeds(table, 2)
    if not replicated.configurations:
        return None
    found = components_of(replicated)
    counts = np.array(found.seeds, dtype=np.float64)
    own = (counts - 1.0) / (counts - 1.0).sum()
    seed = float(own @ (found.seed_excess * counts))
    k, n = len(counts), found.rows
    row = 0.0
    if k > 1:
        # The mean of w'Rw over all pairs, less what the residual has in it.
        covariance = found.row_covariance
        spread = 2 * (np.trace(covariance) - covariance.sum() / k) / (k - 1)
        row = max(0.0, float(spread) * n - 2 * found.residual * float((1 / counts).mean()))
    return VarianceComponents(seed, row, found.residual)


def winner_probability(
    components: VarianceComponents,
    differences: Sequence[float],
    *,
    seeds: int,
    rows: int,
    alpha: float = 0.05,
    sweeps: int = 400,
    draws: int = 2_000,
) -> float:
    """Returns how often the best of several configurations is named the sole winner.

    Args:
        components: Of variance.
        differences: [k], true scores; the highest is the best.
        seeds: S, at least 2.
        rows: n.
        alpha: One minus the level of the set.
        sweeps: That are simulated.
        draws: Of the multivariate t in each.
    """
    k, truth = len(differences), np.asarray(differences, dtype=np.float64)
    generator = np.random.default_rng(_SEED)
    row = components.row_variance / 2
    residual = components.residual_variance
    deviation = math.sqrt(components.seed_variance + residual / rows)
    wins = 0
    for _ in range(sweeps):
        means = generator.normal(0.0, deviation, (seeds, k)) + truth
        simulated = pooled(
            names=tuple(map(str, range(k))),
            means=means.mean(axis=0) + generator.normal(0.0, math.sqrt(row / rows), k),
            row_covariance=np.eye(k) * (row + residual / seeds) / rows,
            seed_variances=means.var(axis=0, ddof=1),
            residual=residual,
            seeds=(seeds,) * k,
            rows=rows,
        )
        members = best_set(simulated, alpha=alpha, draws=draws)
        wins += bool(members.sum() == 1 and members[int(truth.argmax())])
    return wins / sweeps


@dataclass(frozen=True, eq=False)
class _Error:
    """The error of a planned contrast: as it is, and as it will be estimated on average."""

    variance: NDArray[np.float64]
    estimate: NDArray[np.float64]
    df: NDArray[np.float64]


def _error(
    components: VarianceComponents,
    seeds: ArrayLike,
    rows: ArrayLike,
    contrast: PlannedContrast,
) -> _Error:
    """Returns the squared error of a contrast, its expected estimate, and the degrees of freedom.

    The estimate exceeds the error: a seed variance below what the residual explains counts as zero.
    """
    s, n = np.asarray(seeds, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    configurations = contrast.configurations
    prior = PRIOR_DF if configurations >= 3 else 0.0
    own_df = np.minimum(s - 1 + prior, configurations * (s - 1))
    noise = components.residual_variance / n
    observed = components.seed_variance + noise
    excess = _expected_excess(observed, noise, own_df)
    row = contrast.squares / 2 * components.row_variance / n + contrast.squares * noise / s
    estimate = contrast.squares * excess / s + row
    seed_df = np.minimum(contrast.cells * own_df, configurations * (s - 1))
    below = (contrast.squares * observed / s) ** 2 / seed_df + row**2 / (n - 1)
    df = np.divide(estimate**2, below, out=np.ones_like(below), where=below > 0)
    return _Error(
        variance=contrast.squares * components.seed_variance / s + row,
        estimate=estimate,
        df=np.clip(df, 1.0, np.maximum(n - 1, 1.0)),
    )


def _expected_excess(
    observed: NDArray[np.float64], noise: NDArray[np.float64], df: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns the mean of max(0, observed·X − noise), where X is chi-square over its df."""
    bound = df * np.divide(noise, observed, out=np.zeros_like(noise + observed), where=observed > 0)
    return np.asarray(observed * chdtrc(df + 2, bound) - noise * chdtrc(df, bound))


def _noncentrality(
    df: NDArray[np.float64], critical: NDArray[np.float64], power: float
) -> NDArray[np.float64]:
    """Returns by how many errors a difference must exceed zero to be found so often."""
    normal = critical + ndtri(power)
    exact = nctdtrinc(np.minimum(df, _NORMAL_DF), 1.0 - power, critical)
    return np.asarray(np.where(df < _NORMAL_DF, exact, normal))
