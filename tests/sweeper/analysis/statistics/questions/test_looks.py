"""The declared looks."""

import pytest

from sweeper.analysis.statistics.questions import LOOKS, look_at
from sweeper.experiment.design.base import LOOKS as DECLARED


def test_the_looks_spend_five_percent_together():
    assert tuple(look.seeds for look in LOOKS) == DECLARED == (3, 5, 10)
    assert sum(look.alpha for look in LOOKS) == pytest.approx(0.05)


@pytest.mark.parametrize(("seeds", "expected"), [(2, None), (3, 3), (4, 3), (9, 5), (30, 10)])
def test_the_last_look_counts_that_the_seeds_allow(seeds, expected):
    look = look_at(seeds)
    assert (look and look.seeds) == expected
