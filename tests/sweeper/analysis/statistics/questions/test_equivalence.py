"""Two one-sided tests, against scipy's."""

import numpy as np
import pytest
from scipy import stats

from sweeper.analysis.statistics.primitive import components_of
from sweeper.analysis.statistics.questions import equivalence_margins
from tests.sweeper.analysis.statistics.sweeps import table_of


def test_the_margin_is_that_of_two_one_sided_tests():
    generator = np.random.default_rng(4)
    first, second = generator.normal(size=8), generator.normal(size=8)
    scores = [np.repeat(each[:, None], 2, axis=1) for each in (first, second)]
    contrasts = components_of(table_of(scores), rows="fixed").contrasts(np.array([[1.0, -1.0]]))
    delta = float(abs(contrasts.values[0]) + equivalence_margins(contrasts)[0])
    # At just this δ the larger of the two p-values is 5 %.
    lower = stats.ttest_ind(first + delta, second, equal_var=False, alternative="greater").pvalue
    upper = stats.ttest_ind(first - delta, second, equal_var=False, alternative="less").pvalue
    assert max(lower, upper) == pytest.approx(0.05)
    assert equivalence_margins(contrasts, alpha=0.01)[0] > equivalence_margins(contrasts)[0]
