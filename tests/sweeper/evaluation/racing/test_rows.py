import itertools

import pytest

from sweeper.evaluation.racing.rows import GROWTH, in_blocks


def sizes(blocks):
    return [sum(map(len, block)) for block in blocks]


@pytest.mark.parametrize(("count", "first"), [(1, 32), (63, 32), (100, 8), (512, 32), (33, 32)])
def test_blocks_have_each_row_once_and_grow(count, first):
    blocks = in_blocks(range(count), None, first=first, seed=(0, 1))
    rows = [row for block in blocks for unit in block for row in unit]
    assert sorted(rows) == list(range(count))
    asked = list(itertools.accumulate(sizes(blocks)))
    assert all(now >= GROWTH * before for before, now in itertools.pairwise(asked[:-1]))
    assert min(sizes(blocks)) >= min(first // 2, count)
    if count >= 2 * first:
        assert sizes(blocks)[0] == first
        assert rows[:first] != list(range(first))


def test_a_row_without_a_loss_is_not_asked():
    blocks = in_blocks([0, 2, 5], None, first=1, seed=(0,))
    assert sorted(row for block in blocks for unit in block for row in unit) == [0, 2, 5]


def test_the_order_is_that_of_the_seed():
    def order(seed):
        return in_blocks(range(50), None, first=10, seed=seed)

    assert order((1, 2)) == order((1, 2))
    assert order((1, 2)) != order((2, 2))
    assert order((1, 2)) != order((1, 3))


def test_rows_that_belong_together_are_asked_together():
    clusters = [0, 0, 0, 1, 2, 2, 3, 4, 4, 4, 4]
    blocks = in_blocks(range(11), clusters, first=2, seed=(7,))
    units = sorted(unit for block in blocks for unit in block)
    assert units == [(0, 1, 2), (3,), (4, 5), (6,), (7, 8, 9, 10)]
    assert len(blocks) > 1


def test_no_rows_are_no_blocks():
    assert in_blocks([], None, first=8, seed=(0,)) == ()
