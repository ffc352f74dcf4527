"""What a design can find out: against scipy, and against simulated tables."""

import numpy as np
import pytest
from scipy import stats

from sweeper.analysis.statistics.planning import (
    DEFAULTS,
    PAIR,
    PlannedContrast,
    VarianceComponents,
    detectable,
    needed_rows,
    needed_seeds,
    row_floor,
    variance_components,
    winner_probability,
)
from tests.sweeper.analysis.statistics.sweeps import Answers, table_of

SEEDS_ONLY = VarianceComponents(seed_variance=1.0, row_variance=0.0, residual_variance=0.0)


def test_seeds_alone_are_the_t_test_of_two_samples():
    found = float(detectable(SEEDS_ONLY, seeds=6, rows=10_000))
    noncentrality = found / np.sqrt(2 / 6)
    power = stats.nct.sf(stats.t.ppf(0.975, 10), 10, noncentrality)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_more_seeds_rows_and_configurations_find_less():
    grid = detectable(DEFAULTS, seeds=[3, 5, 10], rows=[[200], [2_000]])
    assert grid.shape == (2, 3)
    assert (np.diff(grid, axis=0) < 0).all()
    assert (np.diff(grid, axis=1) < 0).all()
    pooled, many = PlannedContrast(configurations=8), PlannedContrast(comparisons=18)
    assert detectable(DEFAULTS, seeds=3, rows=2_000, contrast=pooled) < grid[1, 0]
    assert detectable(DEFAULTS, seeds=3, rows=2_000, contrast=many) > grid[1, 0]
    # A seed sd of half a point, in points.
    assert 100 * grid[1] == pytest.approx([2.2, 1.6, 1.3], abs=0.05)


@pytest.mark.parametrize(
    ("rows", "points"), [(64, 5.0), (256, 2.5), (1_000, 1.25), (2_000, 0.9), (10_000, 0.4)]
)
def test_the_floor_of_rows_is_what_no_number_of_seeds_beats(rows, points):
    floor = row_floor(DEFAULTS, rows)
    assert 100 * floor == pytest.approx(points, abs=0.06)
    assert detectable(DEFAULTS, seeds=5_000, rows=rows) == pytest.approx(floor, rel=0.03)


def test_needed_seeds_and_rows_are_the_first_that_suffice():
    seeds = needed_seeds(DEFAULTS, 0.015, rows=2_000)
    assert seeds is not None
    assert detectable(DEFAULTS, seeds=seeds, rows=2_000) <= 0.015
    assert detectable(DEFAULTS, seeds=seeds - 1, rows=2_000) > 0.015
    rows = needed_rows(DEFAULTS, 0.015, seeds=5)
    assert rows is not None
    assert detectable(DEFAULTS, seeds=5, rows=rows) <= 0.015
    assert detectable(DEFAULTS, seeds=5, rows=rows * 0.95) > 0.015
    assert needed_seeds(DEFAULTS, 0.005, rows=2_000) is None
    assert needed_rows(DEFAULTS, 0.002, seeds=3) is None


def test_a_contrast_is_planned_by_its_squares():
    interaction = PlannedContrast.of((1, -1, -1, 1))
    assert (interaction.squares, interaction.cells, interaction.configurations) == (4.0, 4.0, 4)
    assert PlannedContrast.of((1, -1)) == PAIR
    of_four = PlannedContrast(configurations=4)
    plain = detectable(DEFAULTS, seeds=200, rows=2_000, contrast=of_four)
    doubled = detectable(DEFAULTS, seeds=200, rows=2_000, contrast=interaction)
    assert row_floor(DEFAULTS, 500, contrast=interaction) == pytest.approx(
        row_floor(DEFAULTS, 500) * np.sqrt(2)
    )
    assert doubled == pytest.approx(plain * np.sqrt(2), rel=0.01)


def test_the_components_of_a_table_are_found_again():
    sweep = Answers((0.6,) * 3, seeds=60, rows=4_000, seed_sd=0.01)
    found = variance_components(table_of(sweep.draw(np.random.default_rng(2))))
    expected = sweep.components()
    assert found is not None
    # 177 degrees of freedom of seeds: 11 %. Of rows there are 4,000.
    assert found.seed_variance == pytest.approx(expected.seed_variance, rel=0.3)
    assert found.row_variance == pytest.approx(expected.row_variance, rel=0.1)
    assert found.residual_variance == pytest.approx(expected.residual_variance, rel=0.1)
    assert expected.row_variance == pytest.approx(DEFAULTS.row_variance, rel=0.1)
    assert expected.residual_variance == pytest.approx(DEFAULTS.residual_variance, rel=0.1)


def test_one_seed_each_has_no_components():
    assert variance_components(table_of([np.eye(3)[:1], np.eye(3)[1:2]])) is None


def test_a_sole_winner_is_likelier_the_farther_it_is_ahead():
    near, far = (
        winner_probability(DEFAULTS, (ahead, 0, 0, 0), seeds=5, rows=2_000, sweeps=60, draws=500)
        for ahead in (0.005, 0.04)
    )
    assert near < 0.3
    assert far > 0.95
