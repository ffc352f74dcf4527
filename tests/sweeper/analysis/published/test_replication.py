"""What a verdict says of a published difference: every kind against every sign."""

from __future__ import annotations

from typing import get_args

import pytest

from sweeper.analysis.published import NOT_RUN, Replication, replication_of
from sweeper.analysis.statistics.verdicts.conclusions import Kind

UP, DOWN = 0.22, -0.22


@pytest.mark.parametrize(
    ("kind", "published", "verdict"),
    [
        ("better", UP, "replicated in direction"),
        ("better_within_delta", UP, "replicated in direction"),
        ("worse", DOWN, "replicated in direction"),
        ("worse_within_delta", DOWN, "replicated in direction"),
        ("better", DOWN, "contradicted"),
        ("better_within_delta", DOWN, "contradicted"),
        ("worse", UP, "contradicted"),
        ("worse_within_delta", UP, "contradicted"),
        ("equivalent", UP, "equivalent"),
        ("equivalent", DOWN, "equivalent"),
        ("equivalent", 0.0, "equivalent"),
        ("equivalent", None, "equivalent"),
        ("undecided", UP, "not distinguishable"),
        ("undecided", DOWN, "not distinguishable"),
        ("undecided", None, "not distinguishable"),
        # One run each: that two are printed alike does not say that they are.
        ("better", 0.0, "no direction published"),
        ("worse", 0.0, "no direction published"),
        ("better", None, "no direction published"),
        (None, UP, "not run here"),
        (None, None, "not run here"),
    ],
)
def test_a_verdict_on_a_published_difference(kind, published, verdict):
    assert replication_of(kind, published) == verdict


def test_a_size_does_not_count():
    """A published number has no error, so that only the sign of a difference is taken."""
    for kind in get_args(Kind):
        assert replication_of(kind, 1e-9) == replication_of(kind, 50.0)
        assert replication_of(kind, -1e-9) == replication_of(kind, -50.0)


def test_all_that_can_be_said_is_said_of_something():
    said = {
        replication_of(kind, published)
        for kind in (None, *get_args(Kind))
        for published in (None, -1.0, 0.0, 1.0)
    }
    assert said == {*get_args(Replication)}
    assert NOT_RUN in said
