"""Sweeps whose truth is known: rows answered right or wrong, and skewed losses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from sweeper.analysis.statistics.planning import VarianceComponents
from sweeper.analysis.statistics.table import ConfigurationScores, ScoreTable
from tests.whole import IS_WHOLE

# `make calibration` runs all of them, the suite a tenth.
WHOLE = IS_WHOLE
SWEEPS = 1_000 if WHOLE else 100
DRAWS = 4_000 if WHOLE else 1_000

# Shares of the latent variance of a row of the configuration and of the seed; the difficulty has
# the rest. With them another seed changes about 10 % of the answers, another configuration 12 %.
CONFIGURATION_SHARE, SEED_SHARE = 0.021, 0.049


@dataclass(frozen=True)
class Answers:
    """A row is right if difficulty + configuration × row + seed × row < the seed's threshold."""

    truths: Sequence[float]
    seeds: int
    rows: int
    # Of the seed's true accuracy, one for all configurations or one each.
    seed_sd: float | Sequence[float] = 0.005

    def draw(self, generator: np.random.Generator) -> list[np.ndarray]:
        k = len(self.truths)
        # Over seeds the threshold spreads, too: then the truth is the mean over all seeds.
        slopes = np.exp(-(ndtri(np.array(self.truths)) ** 2) / 2) / sqrt(2 * np.pi)
        spread = np.broadcast_to(self.seed_sd, k) / slopes
        threshold = ndtri(np.array(self.truths)) * np.sqrt(1 + spread**2)
        thresholds = threshold[:, None] + spread[:, None] * generator.standard_normal(
            (k, self.seeds)
        )
        rows = generator.standard_normal(self.rows) * sqrt(1 - CONFIGURATION_SHARE - SEED_SHARE)
        own = rows + generator.standard_normal((k, self.rows)) * sqrt(CONFIGURATION_SHARE)
        noise = generator.standard_normal((k, self.seeds, self.rows), dtype=np.float32)
        latent = own[:, None] + noise * np.float32(sqrt(SEED_SHARE))
        return list((latent < thresholds[..., None]).astype(np.float64))

    def components(self) -> VarianceComponents:
        """What the rows' variances come to, by integration over the latent ones."""
        threshold = float(ndtri(np.mean(self.truths)))
        difficulty = ndtri((np.arange(4_000) + 0.5) / 4_000)
        share = 1 - CONFIGURATION_SHARE - SEED_SHARE
        gap = threshold - difficulty * sqrt(share)
        # Right by this seed given the row; by all seeds, given the configuration besides.
        points, weights = np.polynomial.hermite_e.hermegauss(40)
        weights = weights / weights.sum()
        right = ndtr((gap[:, None] - points * sqrt(CONFIGURATION_SHARE)) / sqrt(SEED_SHARE))
        mean = right @ weights
        return VarianceComponents(
            seed_variance=float(np.mean(np.square(self.seed_sd))),
            row_variance=float(2 * np.mean((right**2) @ weights - mean**2)),
            residual_variance=float(np.mean((right * (1 - right)) @ weights)),
        )


@dataclass(frozen=True)
class Losses:
    """Skewed losses, alike in all configurations but for a little; the sign turned."""

    truths: Sequence[float]
    seeds: int
    rows: int
    seed_sd: float = 0.01
    # Of a row's loss in one configuration, over that of the row in all.
    own_sd: float = 0.06

    def draw(self, generator: np.random.Generator) -> list[np.ndarray]:
        k = len(self.truths)
        rows = generator.gamma(1.5, 1.0, self.rows)
        own = rows * np.exp(self.own_sd * generator.standard_normal((k, self.rows)))
        noise = np.exp(0.1 * generator.standard_normal((k, self.seeds, self.rows)))
        shifts = self.seed_sd * generator.standard_normal((k, self.seeds))
        truths = np.array(self.truths)[:, None]
        return list(-(own[:, None] * noise) + (truths + shifts)[..., None])


def named(k: int) -> list[str]:
    return [f"c{i}" for i in range(k)]


def table_of(
    scores: Sequence[np.ndarray], *, names: Sequence[str] | None = None, **changes
) -> ScoreTable:
    """A table of scores [S, n] of each configuration."""
    n = scores[0].shape[1]
    configurations = tuple(
        ConfigurationScores(name, tuple(range(len(each))), each)
        for name, each in zip(names or named(len(scores)), scores, strict=True)
    )
    values = {
        "strata": np.zeros(n, dtype=np.int64),
        "clusters": None,
        "split": "test",
        "fingerprint": "rows",
    }
    return ScoreTable(configurations, **{**values, **changes})


def without(table: ScoreTable, failed: np.ndarray) -> ScoreTable:
    """The table without the seeds that failed, [configurations, S]."""
    kept = [
        replace(
            each,
            seeds=tuple(np.flatnonzero(~gone).tolist()),
            scores=each.scores[~gone],
            failed_seeds=tuple(np.flatnonzero(gone).tolist()),
        )
        for each, gone in zip(table.configurations, failed, strict=True)
        if not gone.all()
    ]
    return replace(table, configurations=tuple(kept))


def counted(tries: Callable[[np.random.Generator], Sequence[bool]], *, seed: int) -> list[int]:
    """How often each of several things was so, over all sweeps."""
    generators = np.random.default_rng(seed).spawn(SWEEPS)
    return np.sum([tries(generator) for generator in generators], axis=0).tolist()


def at_most(share: float, *, level: float = 0.99) -> int:
    """The most that a thing of this probability happens: the limit at 99 %."""
    return int(binom.ppf(level, SWEEPS, share))


def at_least(share: float, *, level: float = 0.99) -> int:
    """The least that a thing of this probability happens: the limit at 99 %."""
    return int(binom.ppf(1 - level, SWEEPS, share))
