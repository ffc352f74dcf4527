"""The part of the bench of the data that needs no clock and no data."""

import pytest

from benchmarks.data import WAYS, padding_share, report
from sweeper.data.tokens.encoding import Tokens


def share(lengths, **way):
    rows = [Tokens((1,) * length, 1, example=n) for n, length in enumerate(lengths)]
    wanted = {"is_bucketed": False, "is_packed": False, **way}
    return padding_share(rows, size=4, max_length=16, **wanted)


def test_padding_is_what_is_no_token():
    # One micro-batch of four rows of 8.
    assert share([8, 4, 2, 2]) == pytest.approx(0.5)
    # Two rows of 8, the second of the other three.
    assert share([8, 4, 2, 2], is_packed=True) == 0
    # Each of four, and whatever the order they come in.
    assert share([3, 9] * 8, is_bucketed=True) == 0
    assert share([3, 9] * 8) > 0.1
    # What makes no whole micro-batch does not count.
    assert share([5] * 7) == 0


def test_the_table_has_every_figure():
    ratio = {"median": 1.5, "low": 1.4, "high": 1.6, "rounds": 3}
    rows = [
        {"part": "training", "way": "both", "per_s": 1234.56, "ratio": ratio},
        {"part": "padding", "way": "plain, 8 at once", "padding": 0.416},
    ]
    text = report(rows, width=80)
    for figure in ("1,234.6", "1.50 (1.40–1.60)", "41.6%", "plain, 8 at once"):
        assert figure in text
    assert list(WAYS) == ["plain", "bucketing", "packing", "both"]
