"""Methods compared at their tuned rates: the peak of each one's curve over the rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweeper.analysis.statistics.primitive import Components, components_of
from sweeper.analysis.statistics.table import ConfigurationScores, ScoreTable
from sweeper.errors import BadInputError

__all__ = ["FEWEST_RATES", "Peak", "RateGrid", "peak_components", "peak_of", "scored_rates"]

FEWEST_RATES = 3
"""Rates of a grid that must be scored, or there is no curve."""
_FEWEST_SEEDS = 2
# Standard error of a peak beside a fall, as a share of the rise to the best rate. By simulation:
# about one of twenty pairs of equal methods is told apart where scores rise right up to the fall.
_UNSEEN = 0.2


@dataclass(frozen=True)
class RateGrid:
    """The configurations of one method, which differ in the rate alone.

    Attributes:
        method: What the reader calls it.
        parameter: What was tuned, such as ``train.learning_rate``.
        rates: Log-spaced, rising, at least three.
        configurations: The name of the configuration of each rate.
    """

    method: str
    parameter: str
    rates: tuple[float, ...]
    configurations: tuple[str, ...]


@dataclass(frozen=True)
class Peak:
    """The best that a method reaches on its grid of rates.

    Attributes:
        method: Whose.
        value: Score at the top of the parabola around the best rate, or at that rate where it is
            an end of the grid.
        variance: Of the value, over seeds, the choice of the rate included.
        unseen: Variance of the value for what lies between two rates of the grid, where scores fall
            beyond the best one by more than a parabola through the rates before it would. Seeds
            do not lessen it, closer rates do.
        best: Index in the grid of the best rate by validation.
        at_edge: Whether that is the first or the last of the grid, so that the peak may lie
            outside of it.
        rate: Where the peak lies.
        seeds: S.
    """

    method: str
    value: float
    variance: float
    unseen: float
    best: int
    at_edge: bool
    rate: float
    seeds: int


def peak_components(
    table: ScoreTable, grids: Sequence[RateGrid], tops: Sequence[Peak]
) -> Components:
    """Returns the peaks of several methods and the parts of their variance.

    The variance over seeds is the jackknife's (Efron and Stein 1981), with the choice of the rate
    inside; that over rows is of the chosen rates, less what the seeds already account for. Degrees
    of freedom follow Welch 1947.

    Args:
        table: Scores on test, of every configuration that is a best one.
        grids: One a method.
        tops: The peak of each.
    """
    tests = {each.name: each for each in table.configurations}
    chosen = [tests[grid.configurations[top.best]] for grid, top in zip(grids, tops, strict=True)]
    at_best = components_of(replace(table, configurations=tuple(chosen)))
    counts = np.array(at_best.seeds, dtype=np.float64)
    residuals = np.diag(at_best.residual / (counts * at_best.rows))
    seeds = np.array([top.seeds for top in tops], dtype=np.float64)
    variances = np.array([top.variance for top in tops])
    return Components(
        names=tuple(grid.method for grid in grids),
        means=np.array([top.value for top in tops]),
        row_covariance=at_best.row_covariance - residuals,
        seed_excess=variances,
        seed_squares=variances,
        seed_df=seeds - 1.0,
        total_seed_df=float((seeds - 1.0).sum()),
        row_df=at_best.row_df,
        residual=0.0,
        seeds=tuple(top.seeds for top in tops),
        rows=at_best.rows,
        unseen=np.array([top.unseen for top in tops]),
    )


def peak_of(
    grid: RateGrid,
    tests: Mapping[str, ConfigurationScores],
    choices: Mapping[str, ConfigurationScores],
) -> Peak:
    """Returns the peak of one method with its jackknife variance.

    A rate with fewer than two seeds that were scored counts as one at which training diverges.

    Args:
        grid: Of the method.
        tests: Scores on test by the configuration's name.
        choices: Scores on validation by the configuration's name, which choose the rate.

    Raises:
        BadInputError: Fewer than three rates have two seeds.
    """
    scored = scored_rates(grid, tests, choices)
    if sum(scored) < FEWEST_RATES:
        raise BadInputError(
            f"method {grid.method}: {sum(scored)} values of {grid.parameter} have "
            f"{_FEWEST_SEEDS} seeds or more; the peak of a curve needs {FEWEST_RATES} such values; "
            "give more values, or run more seeds"
        )
    names = [name if known else "" for name, known in zip(grid.configurations, scored, strict=True)]
    seeds = sorted({seed for name in names if name for seed in tests[name].seeds})
    test = np.stack([_means(tests.get(name), seeds) for name in names])
    choice = np.stack([_means(choices.get(name), seeds) for name in names])
    top, count = _top(test, choice), len(seeds)
    without = [
        _top(np.delete(test, s, axis=1), np.delete(choice, s, axis=1)).value for s in range(count)
    ]
    logs = np.log(np.array(grid.rates))
    return Peak(
        method=grid.method,
        value=top.value,
        variance=(count - 1) ** 2 / count * float(np.var(without, ddof=1)),
        unseen=(_UNSEEN * top.rise) ** 2,
        best=top.best,
        at_edge=top.best in (0, len(logs) - 1),
        rate=float(np.exp(logs[top.best] + top.shift * np.ptp(logs) / (len(logs) - 1))),
        seeds=count,
    )


def scored_rates(
    grid: RateGrid,
    tests: Mapping[str, ConfigurationScores],
    choices: Mapping[str, ConfigurationScores],
) -> list[bool]:
    """Returns of each rate whether two seeds of it were scored; as for :func:`peak_of`."""

    def seeds(name: str, of: Mapping[str, ConfigurationScores]) -> set[int]:
        return {*of[name].seeds} if name in of else set()

    return [
        len(seeds(name, tests) & seeds(name, choices)) >= _FEWEST_SEEDS
        for name in grid.configurations
    ]


def _means(scores: ConfigurationScores | None, seeds: list[int]) -> NDArray[np.float64]:
    """Returns the mean over rows of each seed [S], NaN where the seed was not scored."""
    if scores is None:
        return np.full(len(seeds), np.nan)
    means = dict(zip(scores.seeds, scores.scores.mean(axis=1), strict=True))
    return np.array([means.get(seed, np.nan) for seed in seeds])


def _curve(scores: NDArray[np.float64]) -> list[float]:
    """Returns the mean over seeds of each rate, of scores [rates, S]; -inf where there is none."""
    known = np.isfinite(scores)
    sums, counts = np.where(known, scores, 0.0).sum(axis=1), known.sum(axis=1)
    found = np.divide(sums, counts, out=np.full(len(scores), -np.inf), where=counts > 0)
    return [float(each) for each in found]


@dataclass(frozen=True)
class _Top:
    value: float
    best: int
    # Of the peak, in steps from the best rate.
    shift: float = 0.0
    # The rise to the best rate, where the fall beyond it is steeper than a parabola's.
    rise: float = 0.0


def _top(test: NDArray[np.float64], choice: NDArray[np.float64]) -> _Top:
    """Returns the peak of a curve.

    A best rate within the grid and its two neighbours give a parabola, of which the top within the
    three is taken. A neighbour counts as no lower than the second neighbour on the other side, or
    the last one there. Of a parabola with its top within half a step neither is lower, so that the
    bound leaves it as it is. Where training diverges on one side, the fall there says nothing of
    the top: without the bound the parabola would rise by an eighth of that fall. A rate that was
    not scored is such a fall.

    Args:
        test: float64 [rates, S], NaN where a seed was not scored.
        choice: The same on validation.
    """
    scores, choices = _curve(test), _curve(choice)
    best, last = choices.index(max(choices)), len(scores) - 1
    if best in (0, last):
        return _Top(scores[best], best)
    below, here, above = scores[best - 1 : best + 2]
    low, high = max(below, scores[min(best + 2, last)]), max(above, scores[max(best - 2, 0)])
    # What is known of neither side is as on the other one, or flat.
    low = low if math.isfinite(low) else high if math.isfinite(high) else here
    high = high if math.isfinite(high) else low
    curvature, slope = low - 2 * here + high, (high - low) / 2
    shift = float(np.sign(slope))
    if curvature < 0:
        shift = min(max(-slope / curvature, -1.0), 1.0)
    return _Top(
        value=here + slope * shift + curvature * shift**2 / 2,
        best=best,
        shift=shift,
        rise=max(here - low if high > above else 0.0, here - high if low > below else 0.0, 0.0),
    )
