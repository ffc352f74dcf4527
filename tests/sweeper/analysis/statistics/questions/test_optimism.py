"""How much a choice flatters; that it is right on average is counted in the calibration."""

import numpy as np
import pytest

from sweeper.analysis.statistics.questions import optimism
from tests.sweeper.analysis.statistics.sweeps import Answers, table_of


def test_one_that_is_better_on_every_row_is_not_flattered():
    rows = np.random.default_rng(0).random(50)
    assert optimism(table_of([rows[None], rows[None] + 1])) == pytest.approx(0, abs=0.05)


def test_more_rivals_flatter_more_and_more_rows_less():
    def mean(k, rows):
        generator = np.random.default_rng(1)
        sweep = Answers((0.6,) * k, seeds=1, rows=rows)
        tables = [table_of(sweep.draw(generator)) for _ in range(30)]
        return np.mean([optimism(table, halves=50) for table in tables])

    assert mean(2, 200) < mean(20, 200)
    assert mean(20, 2_000) < mean(20, 200) / 2


def test_the_rows_of_a_cluster_stay_together():
    generator = np.random.default_rng(2)
    once = [each[:, :50] for each in Answers((0.6,) * 8, seeds=1, rows=50).draw(generator)]
    four = [np.repeat(each, 4, axis=1) for each in once]
    clusters = np.repeat(np.arange(50), 4)
    assert optimism(table_of(four, clusters=clusters)) == pytest.approx(optimism(table_of(once)))
    assert optimism(table_of(four)) < optimism(table_of(once))
