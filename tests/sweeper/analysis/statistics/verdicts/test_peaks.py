"""What is said of tuned methods, and of which nothing."""

from dataclasses import replace

import numpy as np
import pytest

from sweeper.analysis.statistics.questions import RateGrid
from sweeper.analysis.statistics.verdicts import ConclusionSpec, Peaks, Silence, conclude, words
from tests.sweeper.analysis.statistics.sweeps import Answers, table_of

RATES = tuple(1e-4 * 2.0**i for i in range(6))
METHODS = ("lora", "masa", "mosa")
GRIDS = tuple(
    RateGrid(method, "train.learning_rate", RATES, tuple(f"{method} {i}" for i in range(6)))
    for method in METHODS
)
SPEC = ConclusionSpec((Peaks(GRIDS, control="lora"),), delta=0.01, draws=1_000)


@pytest.fixture(scope="module")
def tables():
    """masa is ten points better; the best rate of mosa is the last one."""
    heights, tops = (0.5, 0.6, 0.5), (2.3, 2.7, 6.0)
    truths = [
        height - (0.013 if top > 5 else 0.02) * (i - top) ** 2
        for height, top in zip(heights, tops, strict=True)
        for i in range(6)
    ]
    scores = Answers(truths, seeds=3, rows=2_000).draw(np.random.default_rng(1))
    names = [name for grid in GRIDS for name in grid.configurations]
    return [
        table_of([each[:, part] for each in scores], names=names)
        for part in (slice(500, None), slice(500))
    ]


def test_an_end_of_a_grid_has_no_verdict_and_the_others_have(tables):
    found = conclude(tables[0], SPEC, tables[1])
    (edge,), (best,), (pair,) = found.silences, found.best_sets, found.comparisons
    assert found.statements == (edge, best, pair)
    assert (edge.reason, edge.names) == ("edge", ("mosa",))
    assert edge.detail == "train.learning_rate 0.0032"
    assert best.winner == "masa"
    assert best.of_methods
    assert (pair.kind, pair.names) == ("better", ("masa", "lora"))
    assert pair.family == "peaks_against_control"
    assert (pair.basis.seeds, pair.basis.rows) == ((3, 3), 1_500)
    assert pair.estimate == pytest.approx(0.1, abs=0.03)


def test_without_its_control_nothing_is_held_against_it(tables):
    spec = replace(SPEC, questions=(Peaks(GRIDS, control="mosa"),))
    found = conclude(tables[0], spec, tables[1])
    assert [each.reason for each in found.silences] == ["edge", "no_control"]
    assert words(found.silences[1]).sentence == (
        "Nothing is compared with mosa, of which nothing is said."
    )
    assert found.comparisons == ()
    # Which one is the best needs no control.
    assert found.best_sets[0].winner == "masa"


def test_pairs_that_are_declared_besides_are_a_family_of_their_own(tables):
    """masa with its control arm, though each is held against the first alone."""
    pairs = (("masa", "lora"), ("masa", "mosa"))
    question = Peaks(GRIDS, control="lora", pairs=pairs)
    found = conclude(tables[0], replace(SPEC, questions=(question,)), tables[1])
    first, own = found.comparisons
    assert (first.family, own.family) == ("peaks_against_control", "peaks_declared_pairs")
    # Of mosa nothing is said, so that one pair is left.
    assert first.names == own.names == ("masa", "lora")
    assert (own.basis.members, own.basis.level) == (1, 0.95)
    assert ", all against lora at tuned rates)" in words(first).sentence
    assert ", one declared pair at tuned rates)" in words(own).sentence


def test_a_grid_of_which_too_little_was_scored_has_no_verdict(tables):
    less = [
        replace(
            table,
            configurations=tuple(
                c for c in table.configurations if c.name < "masa 2" or c.name > "mosa"
            ),
        )
        for table in tables
    ]
    found = conclude(less[0], replace(SPEC, questions=(Peaks(GRIDS),)), less[1])
    assert found.silences[0] == Silence("grid", ("masa",), "2 of 6 values of train.learning_rate")
    assert found.silences[-1].reason == "too_few"
    assert found.comparisons == ()


def test_what_is_known_of_one_trial_goes_with_its_method(tables):
    spec = replace(
        SPEC, caveats=(("masa 4", "masa 4 ran out of time"), ("mosa 1", "so did mosa 1"))
    )
    found = conclude(tables[0], spec, tables[1])
    assert found.comparisons[0].caveats == ("masa 4 ran out of time",)
    assert found.best_sets[0].caveats == ("masa 4 ran out of time",)


def test_peaks_are_over_units_as_their_errors_are(tables):
    """Rows that stand there thrice, as three of one unit, change nothing."""
    test, validation = tables
    (pair,) = conclude(test, SPEC, validation).comparisons
    (copied,) = conclude(_with_copies(test), SPEC, _with_copies(validation)).comparisons
    assert copied.basis.rows == pair.basis.rows
    assert copied.estimate == pytest.approx(pair.estimate, abs=1e-9)
    assert copied.interval == pytest.approx(pair.interval, abs=1e-9)


def _with_copies(table):
    rows = len(table.strata)
    order = np.concatenate([np.arange(rows), np.repeat(np.arange(rows // 2), 2)])
    own = tuple(replace(each, scores=each.scores[:, order]) for each in table.configurations)
    return replace(table, configurations=own, strata=table.strata[order], clusters=order)
