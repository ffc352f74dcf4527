import math

import numpy as np
import pytest

from sweeper.analysis.inspection.measures import jackknife


def test_of_a_mean_it_is_the_standard_error_of_the_mean():
    values = np.array([[1.0], [4.0], [2.0], [7.0], [3.5]])
    found = jackknife(values, lambda mean: float(mean[0]))
    assert found.value == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(5))
    assert found.count == 5


def test_of_a_ratio_it_knows_that_both_parts_move_together():
    blocks = np.array([[2.0, 1.0], [4.0, 2.0], [10.0, 5.0]])
    found = jackknife(blocks, lambda mean: float(mean[0] / mean[1]))
    assert found.value == pytest.approx(2.0)
    assert found.standard_error == pytest.approx(0.0)


def test_one_block_has_no_error():
    assert jackknife(np.ones((1, 2)), lambda mean: float(mean[0])).standard_error is None
