"""The one estimate of error that every question of this package is answered with.

The model: seed s of configuration c scores y[c,s,i] on row i, and seeds and rows are drawn, each
from a population of their own (crossed random factors: Clark 1973, Judd 2012).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweeper.analysis.statistics.table import ScoreTable
from sweeper.analysis.statistics.units import RowUnits, row_units

__all__ = ["PRIOR_DF", "Claim", "Components", "Contrasts", "RowScope", "components_of", "pooled"]

Claim = Literal["configurations", "adapters"]
"""Of what is spoken: of configurations (new seeds), or of the adapters that were trained."""
RowScope = Literal["new", "fixed"]
"""Of which rows is spoken: new ones of the same kind, or these very ones."""

# Degrees of freedom that the pooled seed variance is worth beside a configuration's own, where
# there are at least three configurations to pool (Smyth 2004, with a fixed prior weight).
PRIOR_DF = 2.0


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Weighted sums of means, with their errors.

    Attributes:
        values: float64 [m].
        standard_errors: float64 [m], not negative.
        df: float64 [m], degrees of freedom of the errors, at least 1.
    """

    values: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    df: NDArray[np.float64]

    @property
    def ratios(self) -> NDArray[np.float64]:
        """Values over errors [m]; without an error, 0 where the value is 0, else infinite."""
        return _ratios(self.values, self.standard_errors)


@dataclass(frozen=True, eq=False)
class Components:
    """Means of k configurations and the parts of their variance.

    Attributes:
        names: [k].
        means: float64 [k].
        row_covariance: float64 [k, k], R: of the means, over the choice of rows.
        seed_excess: float64 [k], b: of the means, over seeds, less what rows account for.
        seed_squares: float64 [k], m: of the means, over seeds, as it was observed.
        seed_df: float64 [k], degrees of freedom of each of `seed_squares`.
        total_seed_df: Degrees of freedom of all seeds together.
        row_df: Degrees of freedom of the rows, infinite where the rows are fixed.
        residual: e², variance of a score that is neither its seed's nor its row's.
        seeds: [k], S.
        rows: n, independent rows or clusters.
        unseen: float64 [k], of the means, what neither seeds nor rows lessen: of peaks, what lies
            between two rates. Elsewhere zero.
    """

    names: tuple[str, ...]
    means: NDArray[np.float64]
    row_covariance: NDArray[np.float64]
    seed_excess: NDArray[np.float64]
    seed_squares: NDArray[np.float64]
    seed_df: NDArray[np.float64]
    total_seed_df: float
    row_df: float
    residual: float
    seeds: tuple[int, ...]
    rows: int
    unseen: NDArray[np.float64]

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Of the means, float64 [k, k]: of rows, seeds and what is unseen together."""
        return self.row_covariance + np.diag(self.seed_excess + self.unseen)

    def row_variances(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns w'Rw of each contrast [m], of weights [m, k]; never negative."""
        found = ((weights @ self.row_covariance) * weights).sum(axis=1)
        return np.asarray(np.maximum(found, 0.0))

    def contrasts(self, weights: NDArray[np.float64]) -> Contrasts:
        """Returns weighted sums of the means with their errors.

        The variance is V = w'Rw + Σ w² b, of peaks with what is unseen besides. Its degrees of
        freedom follow Satterthwaite 1946:
        V² / [max(Σ (w² m)²/df, (Σ w² m)²/Σ d) + (w'Rw)²/(n − 1)], within 1 and n − 1.

        Args:
            weights: float64 [m, k], a contrast a row.
        """
        squares = weights**2
        parts = squares * self.seed_squares
        own = np.divide(parts**2, self.seed_df, out=np.zeros_like(parts), where=self.seed_df > 0)
        return self._contrasts(
            values=weights @ self.means,
            rows=self.row_variances(weights),
            seeds=squares @ self.seed_excess,
            unseen=squares @ self.unseen,
            squares=parts.sum(axis=1),
            own=own.sum(axis=1),
        )

    @cached_property
    def _row_variances(self) -> NDArray[np.float64]:
        """Of each mean, over the choice of rows [k]; side by side, as R's diagonal is not."""
        return np.diagonal(self.row_covariance).copy()

    @cached_property
    def _own(self) -> NDArray[np.float64]:
        """Of each mean m²/d [k], where it has degrees of freedom."""
        squares, has_any = self.seed_squares**2, self.seed_df > 0
        return np.divide(squares, self.seed_df, out=np.zeros_like(squares), where=has_any)

    def differences_to(self, each: int) -> Contrasts:
        """Returns the difference of every mean to one of them [k], its own among them.

        They are the contrasts of +1 and −1, in the time and memory of k numbers: there are k² of
        all pairs, and their weights would be k³.

        Args:
            each: Place of the one.
        """
        own = self._own
        return self._contrasts(
            values=self.means - self.means[each],
            rows=self._row_variances_to(each),
            seeds=self.seed_excess + self.seed_excess[each],
            unseen=self.unseen + self.unseen[each],
            squares=self.seed_squares + self.seed_squares[each],
            own=own + own[each],
        )

    def ratios_to(self, each: int) -> NDArray[np.float64]:
        """Returns the ratios of :meth:`differences_to` [k], in less time: without any df.

        Args:
            each: Place of the one.
        """
        seeds, unseen = (x + x[each] for x in (self.seed_excess, self.unseen))
        variance = self._row_variances_to(each) + seeds + unseen
        return _ratios(self.means - self.means[each], np.sqrt(variance))

    def _row_variances_to(self, each: int) -> NDArray[np.float64]:
        """Returns w'Rw [k] of every mean's difference to one of them."""
        variances, shared = self._row_variances, self.row_covariance[each]
        # Summed as by w'Rw, so that both say the same to the last digit.
        return np.asarray(np.maximum((variances - shared) - (shared - variances[each]), 0.0))

    def _contrasts(
        self,
        *,
        values: NDArray[np.float64],
        rows: NDArray[np.float64],
        seeds: NDArray[np.float64],
        unseen: NDArray[np.float64],
        squares: NDArray[np.float64],
        own: NDArray[np.float64],
    ) -> Contrasts:
        """Returns contrasts of their parts, [m] each: w'Rw, Σ w² b, the unseen, and so on."""
        variance = rows + seeds + unseen
        sums = squares**2
        together = sums / self.total_seed_df if self.total_seed_df > 0 else np.zeros_like(sums)
        below = np.where(seeds > 0, np.maximum(own, together), 0.0) + rows**2 / self.row_df
        df = np.full_like(below, self.row_df)
        np.divide(variance**2, below, out=df, where=below > 0)
        return Contrasts(values, np.sqrt(variance), np.clip(df, 1.0, self.row_df))


def _ratios(values: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    exact = np.where(values == 0, 0.0, np.copysign(np.inf, values))
    return np.where(errors > 0, values / np.where(errors > 0, errors, 1.0), exact)


def components_of(
    table: ScoreTable,
    *,
    claim: Claim = "configurations",
    rows: RowScope = "new",
    prior_df: float | None = None,
) -> Components:
    """Returns the means of a table's configurations and the parts of their variance.

    Args:
        table: Of configurations, each of at least two seeds where the claim is of configurations.
        claim: With "adapters" the seeds count as they are: their mean has no seed variance.
        rows: With "fixed" the rows count as they are: their choice has no variance.
        prior_df: Degrees of freedom that the pooled seed variance counts for in each
            configuration's own; None for 0 with two configurations (Welch 1947) and 2 with more.

    Raises:
        BadInputError: The table is not one of comparable scores.
    """
    units = row_units(table)
    n = units.strata.size
    seeds = tuple(len(each.seeds) for each in table.configurations)
    profiles = np.stack([scores.mean(axis=0) for scores in units.scores])
    covariance = _row_covariance(profiles, units.strata)
    variances, residual = _seed_variances(units)
    if rows == "fixed":
        covariance, residual = np.zeros_like(covariance), 0.0
    return pooled(
        names=tuple(each.name for each in table.configurations),
        means=profiles.mean(axis=1),
        row_covariance=covariance,
        seed_variances=variances if claim == "configurations" else np.zeros_like(variances),
        residual=residual,
        seeds=seeds,
        rows=n,
        prior_df=prior_df,
    )


def pooled(
    *,
    names: tuple[str, ...],
    means: NDArray[np.float64],
    row_covariance: NDArray[np.float64],
    seed_variances: NDArray[np.float64],
    residual: float,
    seeds: tuple[int, ...],
    rows: int,
    prior_df: float | None = None,
) -> Components:
    """Returns components of sums: each seed variance drawn towards the pooled one.

    The pooling is that of Smyth 2004, equation 8, with the prior degrees of freedom fixed:
    (d₀ s²_pool + d s²)/(d₀ + d).

    Args:
        names: [k].
        means: float64 [k].
        row_covariance: float64 [k, k]; all zero where the rows are fixed.
        seed_variances: float64 [k], s², of the means of single seeds.
        residual: e².
        seeds: [k], S.
        rows: n.
        prior_df: As in :func:`components_of`.
    """
    counts = np.array(seeds, dtype=np.float64)
    own_df = counts - 1.0
    total = float(own_df.sum())
    if prior_df is None:
        prior_df = PRIOR_DF if len(seeds) >= 3 else 0.0
    pool = float(own_df @ seed_variances) / total if total > 0 else 0.0
    df = prior_df + own_df
    if np.isinf(prior_df):
        drawn = np.full_like(seed_variances, pool)
    else:
        above = prior_df * pool + own_df * seed_variances
        drawn = np.divide(above, df, out=np.zeros_like(above), where=df > 0)
    return Components(
        names=names,
        means=means,
        row_covariance=row_covariance,
        seed_excess=np.maximum(0.0, drawn - residual / rows) / counts,
        seed_squares=drawn / counts,
        seed_df=df,
        total_seed_df=total,
        row_df=rows - 1.0 if row_covariance.any() else np.inf,
        residual=residual,
        seeds=seeds,
        rows=rows,
        unseen=np.zeros(len(seeds)),
    )


def _row_covariance(
    profiles: NDArray[np.float64], strata: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Returns R, Σ (n_g/n)² Cov_g/n_g, of profiles [k, n]: of a stratified sample."""
    k, n = profiles.shape
    found: NDArray[np.float64] | None = None
    for stratum in range(int(strata.max()) + 1):
        inside = profiles[:, strata == stratum]
        count = inside.shape[1]
        if count:
            inside = inside - inside.mean(axis=1, keepdims=True)
            products = inside @ inside.T
            # In place: of thousands of configurations each copy has hundreds of megabytes.
            products *= count / (n * n * max(count - 1.0, 1.0))
            if found is None:
                found = products
            else:
                found += products
    return np.zeros((k, k)) if found is None else found


def _seed_variances(units: RowUnits) -> tuple[NDArray[np.float64], float]:
    """Returns the variance of the seeds' means [k], and the residual mean square e²."""
    variances, squares, df = [], 0.0, 0
    for scores in units.scores:
        seeds = scores.shape[0]
        if seeds < 2:
            variances.append(0.0)
            continue
        means = scores.mean(axis=1)
        variances.append(float(means.var(ddof=1)))
        left = scores - means[:, None]
        profile = left.mean(axis=0)
        squares += float(np.vdot(left, left)) - seeds * float(profile @ profile)
        df += seeds - 1
    below = df * (units.strata.size - 1)
    return np.array(variances), max(squares, 0.0) / below if below else 0.0
