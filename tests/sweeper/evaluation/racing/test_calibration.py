"""What racing stops, counted on simulated searches: equal trials seldom, trials behind soon.

The suite simulates 100 searches of each kind, `make calibration` 1,000. A limit is the binomial one
at 99 % of what the level allows, and the seeds are fixed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import wilcoxon

from sweeper.evaluation.racing import Race, in_blocks, pair_level
from tests.sweeper.analysis.statistics.sweeps import SWEEPS, at_least, at_most

TRIALS, EVALUATIONS, ROWS = 12, 3, 256
ALPHA = 0.05
# Whether a trial is worse, by what it has lost so far.
Judge = Callable[[Race, dict[int, float]], bool]


@dataclass(frozen=True)
class Losses:
    """Skewed losses of trials, [T, evaluations, n]; what makes a row hard is hard for all."""

    # Of each trial, by how much its losses are larger than the best one's, as a share.
    gaps: Sequence[float] = (0.0,) * TRIALS
    # Of the logarithm of a loss given its row.
    spread: float = 0.1

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        rows = generator.gamma(1.5, 1.0, ROWS)
        noise = generator.standard_normal((len(self.gaps), EVALUATIONS, ROWS))
        return rows * np.exp(self.spread * noise) * (1 + np.array(self.gaps)[:, None, None])


@dataclass(frozen=True)
class Raced:
    """What became of a search."""

    stopped: frozenset[int]
    rows: int

    @property
    def share(self) -> float:
        """Rows that were asked, of those of all evaluations of all trials."""
        return self.rows / (TRIALS * EVALUATIONS * ROWS)


def by_capital(race: Race, losses: dict[int, float]) -> bool:
    return race.stand(losses).is_worse


def by_peeking(race: Race, losses: dict[int, float]) -> bool:
    """A Wilcoxon test at 5 % after each block, as if there were one."""
    differences = [loss - race.losses[row] for row, loss in losses.items()]
    return bool(wilcoxon(differences, alternative="greater").pvalue < ALPHA)


def raced(losses: np.ndarray, *, seed: int, judge: Judge = by_capital, level: float = 0.0) -> Raced:
    """Trials one after another, each against the best before it at the same evaluation."""
    blocks = in_blocks(range(ROWS), None, first=32, seed=(seed,))
    level = level or pair_level(ALPHA, trials=TRIALS, evaluations=EVALUATIONS)
    best: list[np.ndarray | None] = [None] * EVALUATIONS
    stopped, rows = set(), 0
    for trial in range(TRIALS):
        for evaluation in range(EVALUATIONS):
            found, other = losses[trial, evaluation], best[evaluation]
            known: dict[int, float] = {}
            if other is not None:
                race = Race("best", dict(enumerate(other)), blocks, level)
                for block in race.rows():
                    known |= {row: float(found[row]) for row in block}
                    if judge(race, known):
                        stopped.add(trial)
                        break
            rows += len(known) if other is not None else ROWS
            if trial in stopped:
                break
            if other is None or found.mean() < other.mean():
                best[evaluation] = found
    return Raced(frozenset(stopped), rows)


def searches(
    losses: Callable[[np.random.Generator], Losses], *, seed: int, count: int = SWEEPS, **options
) -> list[Raced]:
    generators = np.random.default_rng(seed).spawn(count)
    return [
        raced(losses(generator).draw(generator), seed=number, **options)
        for number, generator in enumerate(generators)
    ]


def report(name: str, found: Sequence[Raced]) -> tuple[int, float]:
    """How many searches had a trial stopped, and which share of the trials was."""
    any_stopped = sum(bool(one.stopped) for one in found)
    # The first trial has nobody to be compared with.
    share = sum(len(one.stopped) for one in found) / (len(found) * (TRIALS - 1))
    print(  # noqa: T201 - shown by `make calibration`
        f"{name}: a trial stopped in {any_stopped} of {len(found)} searches, {share:.1%} of the "
        f"trials; {np.mean([one.share for one in found]):.1%} of the rows asked"
    )
    return any_stopped, share


@pytest.mark.parametrize(("spread", "seed"), [(0.1, 1), (0.8, 2)], ids=["alike", "heavy tails"])
def test_equal_trials_are_seldom_stopped(spread, seed):
    """Though the best of up to eleven was chosen by the very rows on which it is compared."""
    found = searches(lambda _: Losses(spread=spread), seed=seed)
    any_stopped, share = report("equal", found)
    assert any_stopped <= at_most(ALPHA)
    assert share <= ALPHA


def gaps_of_a_search(mean: float) -> Callable[[np.random.Generator], Losses]:
    """The best one comes anywhere; most others are behind by little, some by far."""

    def draw(generator: np.random.Generator) -> Losses:
        gaps = generator.exponential(mean, TRIALS)
        gaps[generator.integers(TRIALS)] = 0.0
        return Losses(tuple(gaps))

    return draw


# Of the embedded model the losses of two learning rates of LoRA, of which one is three times the
# other, differ by 87 %, and those of two rates of MASA by 16 %.
@pytest.mark.parametrize(("mean", "most"), [(0.3, 0.5), (0.15, 0.6)])
def test_trials_behind_are_stopped_and_half_of_the_rows_are_saved(mean, most):
    found = searches(gaps_of_a_search(mean), seed=3)
    _, share = report(f"behind by {mean:.0%}", found)
    assert np.mean([one.share for one in found]) <= most
    assert share > 0.5


def test_the_best_is_kept():
    """It comes last, when there is one that nearly equals it."""
    gaps = (0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.3, 0.2, 0.1, 0.05, 0.01, 0.0)
    found = searches(lambda _: Losses(gaps), seed=4)
    report("one best", found)
    kept = sum(TRIALS - 1 not in one.stopped for one in found)
    assert kept >= at_least(1 - ALPHA)


def test_a_test_that_peeks_would_be_caught():
    found = searches(lambda _: Losses(), seed=1, count=SWEEPS // 4, judge=by_peeking)
    any_stopped, share = report("equal, peeking", found)
    assert any_stopped > 2 * at_most(ALPHA)
    assert share > 3 * ALPHA


def test_a_level_that_is_not_spent_would_be_caught():
    """Each comparison at 5 %: anytime-valid by itself, and not together with the others."""
    found = searches(lambda _: Losses(), seed=1, count=SWEEPS // 2, level=ALPHA)
    any_stopped, _ = report("equal, level not spent", found)
    assert any_stopped > 2 * at_most(ALPHA)
