"""The verdict of a contrast."""

import numpy as np
import pytest

from sweeper.analysis.statistics.primitive import components_of
from sweeper.analysis.statistics.questions import equivalence_margins
from sweeper.analysis.statistics.verdicts import AllPairs, ConclusionSpec, conclude
from tests.sweeper.analysis.statistics.sweeps import Answers, table_of


def drawn(*truths, rows=2_000):
    sweep = Answers(truths, seeds=5, rows=rows, seed_sd=0.002)
    return table_of(sweep.draw(np.random.default_rng(9)), names=("lora", "masa"))


def test_a_pair_has_its_numbers_and_what_they_rest_on():
    table = drawn(0.6, 0.7)
    (found,) = conclude(table, ConclusionSpec((AllPairs(),), delta=0.01)).comparisons
    contrasts = components_of(table).contrasts(np.array([[1.0, -1.0]]))
    assert found.kind == "worse"
    assert found.names == ("lora", "masa")
    assert found.estimate == pytest.approx(contrasts.values[0])
    assert sum(found.interval) / 2 == pytest.approx(found.estimate)
    margin = equivalence_margins(contrasts)[0]
    assert found.equivalence_interval[1] == pytest.approx(found.estimate + margin)
    assert found.basis.seeds == (5, 5)
    assert (found.basis.rows, found.basis.split, found.basis.level) == (2_000, "test", 0.95)
    assert found.basis.members == 1
    assert found.needs is None


@pytest.mark.parametrize(
    ("truths", "rows", "delta", "kind"),
    [
        ((0.66, 0.6), 2_000, 0.01, "better"),
        ((0.6, 0.66), 2_000, 0.01, "worse"),
        ((0.63, 0.6), 20_000, 0.1, "better_within_delta"),
        ((0.6, 0.63), 20_000, 0.1, "worse_within_delta"),
        ((0.6, 0.6), 2_000, 0.05, "equivalent"),
        ((0.6, 0.6), 200, 0.01, "undecided"),
    ],
)
def test_every_kind_of_verdict(truths, rows, delta, kind):
    spec = ConclusionSpec((AllPairs(),), delta=delta)
    (found,) = conclude(drawn(*truths, rows=rows), spec).comparisons
    assert found.kind == kind
    assert (found.needs is not None) == (kind == "undecided")
    assert found.is_difference == (kind not in ("equivalent", "undecided"))
