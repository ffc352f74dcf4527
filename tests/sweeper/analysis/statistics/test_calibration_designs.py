"""Tuned methods, planned power, planted orders and optimism, counted as in `test_calibration`."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.special import ndtr

from sweeper.analysis.statistics.planning import PAIR, PlannedContrast, detectable
from sweeper.analysis.statistics.questions import RateGrid, optimism
from sweeper.analysis.statistics.table import ScoreTable
from sweeper.analysis.statistics.verdicts import (
    AllPairs,
    Best,
    ConclusionSpec,
    Factorial,
    Peaks,
    conclude,
)
from tests.sweeper.analysis.statistics.sweeps import (
    DRAWS,
    SWEEPS,
    Answers,
    Losses,
    at_least,
    at_most,
    counted,
    table_of,
    without,
)
from tests.whole import few

RATES = tuple(1e-4 * 2.0**i for i in range(8))
# Steps over which training goes from sure to last to sure to diverge, and what is right by chance.
EDGE_SD, CHANCE = 0.2, 0.25
# Power is planned by an approximation, which is allowed three points.
PLANNED, SLACK = 0.8, 0.03


def report(**counts: float) -> None:
    print(counts)  # noqa: T201 - shown by `make calibration`


def grid_of(method: str) -> RateGrid:
    names = tuple(f"{method} {rate:g}" for rate in RATES)
    return RateGrid(method, "train.learning_rate", RATES, names)


@dataclass(frozen=True)
class Curves:
    """Methods of which each has its best rate within the grid, every other one half a step on."""

    top: float = 3.6
    # Where half of the seeds diverge, to right answers by chance; none where it is not said.
    edge: float | None = None
    # Whether a seed that diverges fails, and has no score at all.
    fails: bool = False
    seeds: int = 3
    # What the first is better by.
    lead: float = 0.0
    methods: str = "ab"

    @property
    def grids(self) -> tuple[RateGrid, ...]:
        return tuple(grid_of(method) for method in self.methods)

    def draw(self, generator, *, validation: int = 400, rows: int = 600) -> list[ScoreTable]:
        """Scores on test and on validation."""
        places = np.concatenate([np.arange(8) - i % 2 / 2 for i in range(len(self.methods))])
        leads = np.where(np.arange(len(places)) < 8, self.lead, 0.0)
        truths = 0.6 + leads - 0.012 * (places - self.top) ** 2
        sweep = Answers(tuple(truths), seeds=self.seeds, rows=validation + rows)
        scores = np.stack(sweep.draw(generator))
        diverged = np.zeros(scores.shape[:2], dtype=bool)
        if self.edge is not None:
            shares = ndtr((places - self.edge) / EDGE_SD)
            diverged = generator.random(scores.shape[:2]) < shares[:, None]
            scores[diverged] = generator.random((diverged.sum(), scores.shape[2])) < CHANCE
        names = [name for grid in self.grids for name in grid.configurations]
        tables = [
            table_of(list(scores[..., part]), names=names)
            for part in (slice(validation, None), slice(validation))
        ]
        return [without(each, diverged) for each in tables] if self.fails else tables

    def count(self, *, seed: int) -> dict[str, int]:
        """How often one is called better, the first is, one is the winner, and any is compared."""
        spec = ConclusionSpec((Peaks(self.grids),), delta=0.01, draws=DRAWS)

        def tries(generator):
            test, validation = self.draw(generator)
            found = conclude(test, spec, validation)
            compared = [each for each in found.comparisons if each.is_difference]
            first = [each for each in compared if each.estimate > 0]
            winners = [each for each in found.best_sets if each.winner is not None]
            return bool(compared), bool(first), bool(winners), bool(found.comparisons)

        counts = counted(tries, seed=seed)
        found = dict(zip(("pair", "first", "winner", "spoken"), counts, strict=True))
        report(**found)
        return found


# Training diverges above the best rate: scores fall to chance within a step, beyond their top, or
# while they still rise; or there are none of them.
CURVES = {
    "smooth": Curves(),
    "diverging": Curves(top=4.0, edge=4.7),
    "rising": Curves(top=4.6, edge=4.5),
    "failing": Curves(top=4.6, edge=4.5, fails=True),
}
# How often two points between two methods are found at least, with five seeds and 600 rows.
# Of seeds that fail those that lived count, which lifts the second, whose rates reach farther.
POWER = {"smooth": 0.65, "diverging": 0.6, "rising": 0.5, "failing": 0.3}
CASES = [(kind, seeds) for kind in CURVES for seeds in (3, 5)]


@pytest.mark.parametrize("case", few(CASES, ("smooth", 3), ("rising", 5), ("failing", 3)), ids=str)
def test_equal_tuned_methods_are_seldom_told_apart(case):
    """N6 and N9."""
    kind, seeds = case
    found = replace(CURVES[kind], seeds=seeds).count(seed=6)
    assert found["pair"] <= at_most(0.05)
    assert found["winner"] <= at_most(0.05)
    assert found["spoken"] >= at_least(0.98)


@pytest.mark.whole
def test_of_many_equal_tuned_methods_each_family_holds_its_level():
    """N10: eight methods against the first, and one of them with its control arm."""
    curves = Curves(methods="abcdefgh")
    question = Peaks(curves.grids, control="a", pairs=(("d", "e"),))
    spec = ConclusionSpec((question,), delta=0.01, draws=DRAWS)

    def tries(generator):
        test, validation = curves.draw(generator)
        found = conclude(test, spec, validation)
        wrong = {x.family for x in found.comparisons if x.is_difference}
        winner = any(each.winner is not None for each in found.best_sets)
        return "peaks_against_control" in wrong, "peaks_declared_pairs" in wrong, winner

    first, own, winner = counted(tries, seed=16)
    report(against_first=first, own=own, winner=winner)
    assert max(first, own, winner) <= at_most(0.05)


def test_of_few_rows_what_is_worse_is_not_among_the_best():
    """N11: three equal tuned methods on 20 rows, whose losses differ by seed and by no method."""
    grids = tuple(grid_of(method) for method in "abc")
    spec = ConclusionSpec((Peaks(grids),), delta=0.05, draws=DRAWS)
    names = [name for grid in grids for name in grid.configurations]
    places = np.concatenate([np.arange(8) - i % 2 / 2 for i in range(3)])
    truths = tuple(-0.02 * (places - 3.6) ** 2)
    sweep = Losses(truths, seeds=3, rows=38, seed_sd=0.0, own_sd=0.0)

    def tries(generator):
        scores = np.stack(sweep.draw(generator))
        parts = slice(18, None), slice(18)
        test, validation = (table_of(list(scores[..., part]), names=names) for part in parts)
        found = conclude(test, spec, validation)
        wrong = [each for each in found.comparisons if each.is_difference]
        worse = {each.names[each.estimate > 0] for each in wrong}
        members = {name for each in found.best_sets for name in each.members}
        return bool(wrong), bool(worse & members)

    wrong, contradicted = counted(tries, seed=5)
    report(pair=wrong, contradicted=contradicted)
    assert wrong <= at_most(0.05)
    assert contradicted == 0


@pytest.mark.whole
@pytest.mark.parametrize("kind", CURVES)
def test_two_points_between_tuned_methods_are_found(kind):
    """P5."""
    found = replace(CURVES[kind], seeds=5, lead=0.02).count(seed=15)
    assert found["first"] >= at_least(POWER[kind])


def test_what_is_planned_is_found():
    """P1."""
    plain = Answers((0.6, 0.6), seeds=10, rows=2_000)
    delta = float(detectable(plain.components(), seeds=10, rows=2_000, power=PLANNED))
    assert 0.01 < delta < 0.016
    sweep = Answers((0.6 + delta / 2, 0.6 - delta / 2), seeds=10, rows=2_000)
    spec = ConclusionSpec((AllPairs(),), delta=0.01, draws=DRAWS)

    def tries(generator):
        (found,) = conclude(table_of(sweep.draw(generator)), spec).comparisons
        return [found.kind.startswith("better")]

    (better,) = counted(tries, seed=11)
    report(found=better, delta=round(delta, 4))
    assert at_least(PLANNED, level=0.995) <= better <= at_most(PLANNED, level=0.995)


def test_the_best_of_a_planted_order_stays_in_the_set():
    """P2."""
    sweep = Answers((0.6, 0.598, 0.596, 0.59, 0.58, 0.57), seeds=5, rows=1_000)
    spec = ConclusionSpec((Best(),), delta=0.01, draws=DRAWS)

    def tries(generator):
        (found,) = conclude(table_of(sweep.draw(generator)), spec).best_sets
        return "c0" in found.members, "c5" in found.members

    first, last = counted(tries, seed=12)
    report(best=first, worst=last)
    assert first >= at_least(0.95)
    assert last < first


def test_a_planted_interaction_is_found_as_planned():
    """P3."""
    cells = [(one, other) for one in ("off", "on") for other in ("few", "many")]
    names = [f"{one} {other}" for one, other in cells]
    question = Factorial(
        tuple(
            (name, (("share", one), ("groups", other)))
            for name, (one, other) in zip(names, cells, strict=True)
        )
    )
    contrast = PlannedContrast.of((1, -1, -1, 1), comparisons=3)
    assert contrast.squares == 2 * PAIR.squares
    plain = Answers((0.6,) * 4, seeds=5, rows=2_000)
    delta = float(
        detectable(
            plain.components(),
            seeds=5,
            rows=2_000,
            power=PLANNED,
            contrast=contrast,
        )
    )
    signs = (1, -1, -1, 1)
    sweep = Answers(tuple(0.6 + sign * delta / 4 for sign in signs), seeds=5, rows=2_000)
    spec = ConclusionSpec((question,), delta=0.01, draws=DRAWS)

    def tries(generator):
        found = conclude(table_of(sweep.draw(generator), names=names), spec).comparisons
        kinds = {each.contrasted: each for each in found}
        assert kinds["interaction"].names == ("share", "on", "off", "groups", "many", "few")
        mains = [each for each in found if each.contrasted == "main_effect"]
        assert len(mains) == 2
        return kinds["interaction"].kind.startswith("better"), any(x.is_difference for x in mains)

    interaction, mains = counted(tries, seed=13)
    report(interaction=interaction, mains=mains, delta=round(delta, 4))
    slack = max(SLACK * SWEEPS, at_most(PLANNED, level=0.995) - PLANNED * SWEEPS)
    assert abs(interaction - PLANNED * SWEEPS) <= slack
    assert mains <= at_most(0.05)


@pytest.mark.parametrize("spread", [0.0, 0.01], ids=["equal", "apart"])
def test_optimism_is_estimated_to_half_a_point(spread):
    """P4: the best of twelve trials of one seed, by 200 rows."""
    truths = tuple(0.6 + spread * (i / 11 - 0.5) for i in range(12))
    sweep = Answers(truths, seeds=1, rows=200 + 4_000)
    generator = np.random.default_rng(14)
    excess, estimates = [], []
    for _ in range(min(SWEEPS, 300)):
        scores = [each[0] for each in sweep.draw(generator)]
        means = [each[:200].mean() for each in scores]
        chosen = int(np.argmax(means))
        excess.append(means[chosen] - scores[chosen][200:].mean())
        estimates.append(optimism(table_of([each[None, :200] for each in scores]), halves=100))
    report(truth=float(np.mean(excess)), estimate=float(np.mean(estimates)))
    assert np.mean(excess) > 0.01
    # The mean over so many sweeps has an error itself.
    error = 2.6 * np.std(np.subtract(excess, estimates)) / np.sqrt(len(excess))
    assert abs(np.mean(estimates) - np.mean(excess)) <= 0.005 + (error if SWEEPS < 300 else 0)
