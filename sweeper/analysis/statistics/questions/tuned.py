"""Methods compared at their tuned rates: the peak of each one's curve over the rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.analysis.statistics.primitive import Components, components_of
from sweeper.analysis.statistics.table import ConfigurationScores, ScoreTable
from sweeper.analysis.statistics.units import require_comparable
from sweeper.errors import BadInputError

__all__ = ["Peak", "RateGrid", "peak_of", "peaks"]

_FEWEST_RATES, _FEWEST_SEEDS = 3, 2
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
        chosen: Index in the grid of the middle one of the parabola's three rates.
        best: Index of the best rate by validation.
        at_edge: Whether the best rate is the first or the last of the grid, so that the peak may
            lie outside of it.
        rate: Where the peak lies.
        seeds: S.
    """

    method: str
    value: float
    variance: float
    unseen: float
    chosen: int
    best: int
    at_edge: bool
    rate: float
    seeds: int


def peaks(
    table: ScoreTable, validation: ScoreTable, grids: tuple[RateGrid, ...]
) -> tuple[tuple[Peak, ...], Components]:
    """Returns the peak of each method, and the components of their differences.

    The rate is chosen by validation and scored on the table's own rows. The variance over seeds is
    the jackknife's (Efron and Stein 1981), with the choice inside; that over rows is of the chosen
    rates, less what the seeds already account for. Degrees of freedom follow Welch 1947.

    Args:
        table: Scores on test, of every configuration of the grids.
        validation: Scores of the same configurations on validation.
        grids: One a method.

    Raises:
        BadInputError: A configuration is missing, or a method has too few rates or seeds.
    """
    require_comparable(validation)
    tests = {each.name: each for each in table.configurations}
    choices = {each.name: each for each in validation.configurations}
    found = tuple(peak_of(grid, tests, choices) for grid in grids)
    middles = tuple(
        tests[grid.configurations[peak.chosen]] for grid, peak in zip(grids, found, strict=True)
    )
    whole = ScoreTable(
        middles, table.strata, table.clusters, split=table.split, fingerprint=table.fingerprint
    )
    at_middles = components_of(whole)
    seeds = np.array([peak.seeds for peak in found], dtype=np.float64)
    counts = np.array(at_middles.seeds, dtype=np.float64)
    residuals = np.diag(at_middles.residual / (counts * at_middles.rows))
    variances = np.array([peak.variance for peak in found])
    return found, Components(
        names=tuple(grid.method for grid in grids),
        means=np.array([peak.value for peak in found]),
        row_covariance=at_middles.row_covariance - residuals,
        seed_excess=variances + np.array([peak.unseen for peak in found]),
        seed_squares=variances,
        seed_df=seeds - 1.0,
        total_seed_df=float((seeds - 1.0).sum()),
        row_df=at_middles.row_df,
        residual=0.0,
        seeds=tuple(peak.seeds for peak in found),
        rows=at_middles.rows,
    )


def peak_of(
    grid: RateGrid,
    tests: dict[str, ConfigurationScores],
    choices: dict[str, ConfigurationScores],
) -> Peak:
    """Returns the peak of one method with its jackknife variance.

    Args:
        grid: Of the method. Rates of which no seed was scored are left out of it.
        tests: Scores on test by the configuration's name.
        choices: Scores on validation by the configuration's name.

    Raises:
        BadInputError: Fewer than three rates or two seeds were scored.
    """
    scored = [name for name in grid.configurations if name in tests and name in choices]
    if len(scored) < _FEWEST_RATES:
        raise BadInputError(
            f"method {grid.method}: {len(scored)} values of {grid.parameter} were scored; the peak "
            f"of a curve needs {_FEWEST_RATES}; give more values"
        )
    places = [grid.configurations.index(name) for name in scored]
    seeds = sorted({seed for name in scored for seed in tests[name].seeds})
    test = np.stack([_means(tests[name], seeds) for name in scored])
    choice = np.stack([_means(choices[name], seeds) for name in scored])
    count = len(seeds)
    if count < _FEWEST_SEEDS or (np.isfinite(test).sum(axis=1) < _FEWEST_SEEDS).any():
        raise BadInputError(
            f"method {grid.method}: a value of {grid.parameter} has fewer than {_FEWEST_SEEDS} "
            "seeds; the spread over seeds needs them; run more seeds"
        )
    top = _top(test, choice)
    without = [
        _top(np.delete(test, s, axis=1), np.delete(choice, s, axis=1)).value for s in range(count)
    ]
    logs = np.log(np.array(grid.rates)[places])
    step = float(logs[top.middle + 1] - logs[top.middle - 1]) / 2
    return Peak(
        method=grid.method,
        value=top.value,
        variance=(count - 1) ** 2 / count * float(np.var(without, ddof=1)),
        unseen=(_UNSEEN * top.rise) ** 2,
        chosen=places[top.middle],
        best=places[top.best],
        at_edge=places[top.best] in (0, len(grid.rates) - 1),
        rate=float(np.exp(logs[top.middle] + top.shift * step)),
        seeds=count,
    )


def _means(scores: ConfigurationScores, seeds: list[int]) -> NDArray[np.float64]:
    """Returns the mean over rows of each seed [S], NaN where the seed was not scored."""
    means = dict(zip(scores.seeds, scores.scores.mean(axis=1), strict=True))
    return np.array([means.get(seed, np.nan) for seed in seeds])


@dataclass(frozen=True)
class _Top:
    value: float
    middle: int
    best: int
    # Of the peak, in steps from the middle rate.
    shift: float
    # The rise to the best rate, where the fall beyond it is steeper than a parabola's.
    rise: float = 0.0


def _top(test: NDArray[np.float64], choice: NDArray[np.float64]) -> _Top:
    """Returns the peak of a curve.

    A best rate within the grid and its two neighbours give a parabola, of which the top within the
    three is taken. A neighbour counts as no lower than the second neighbour on the other side, or
    the last one there. Of a parabola with its top within half a step neither is lower, so that the
    bound leaves it as it is. Where training diverges on one side, the fall there says nothing of
    the top: without the bound the parabola would rise by an eighth of that fall.

    Args:
        test: float64 [rates, S], NaN where a seed was not scored.
        choice: The same on validation.
    """
    scores: list[float] = np.nanmean(test, axis=1).tolist()
    best, last = int(np.nanmean(choice, axis=1).argmax()), len(test) - 1
    middle = min(max(best, 1), last - 1)
    if best != middle:
        return _Top(scores[best], middle, best, float(best - middle))
    below, here, above = scores[best - 1 : best + 2]
    low, high = max(below, scores[min(best + 2, last)]), max(above, scores[max(best - 2, 0)])
    curvature, slope = low - 2 * here + high, (high - low) / 2
    shift = float(np.sign(slope))
    if curvature < 0:
        shift = min(max(-slope / curvature, -1.0), 1.0)
    return _Top(
        value=here + slope * shift + curvature * shift**2 / 2,
        middle=middle,
        best=best,
        shift=shift,
        rise=max(here - below if high > above else 0.0, here - above if low > below else 0.0, 0.0),
    )
