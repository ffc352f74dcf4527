"""The clones of a sweep: a line each, as wide as the terminal, no word broken."""

from __future__ import annotations

import pytest

from sweeper.report.terminal.sweep.clones import ClonesTable
from tests.sweeper.report.terminal.sweep.test_leaderboard import printed

HEAD = ("clone", "id", "from", "changed", "eval_loss", "status", "steps", "steps in all")
ROW = (
    "1",
    "914c5acf5d49",
    "trial 0 (masa, 87359bc43cbf)",
    "train.learning_rate=1e-3",
    "1.32 ± 0.13",
    "complete",
    "40/40",
    "50",
)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_columns_are_left_out_and_no_word_is_broken(width):
    head, row, *rest = printed(ClonesTable(HEAD, (ROW,)), width=width).splitlines()
    assert max(map(len, (head, row))) <= width
    assert "train.learning_rate=1e-3" in row
    assert "1.32 ± 0.13" in row
    assert ("914c5acf5d49" in row) == (width >= 160)
    # Those that remain are in their order.
    assert head.index("clone") < head.index("changed") < head.index("eval_loss")
    assert bool(rest) == (width < 160)
