import math
import pickle

import numpy as np
import pytest

from sweeper.evaluation.racing import Race, in_blocks, pair_level
from sweeper.evaluation.racing.confidence import log_capital

LEVEL = 0.05


def race(losses, *, clusters=None, first=32, level=LEVEL) -> Race:
    blocks = in_blocks(range(len(losses)), clusters, first=first, seed=(0, 0))
    return Race("best", dict(enumerate(losses)), blocks, level)


def after(found: Race, losses, *, blocks: int):
    rows = [row for block in found.rows()[:blocks] for row in block]
    return found.stand({row: float(losses[row]) for row in rows})


def drawn(count, *, worse, seed=0, spread=0.3):
    generator = np.random.default_rng(seed)
    best = generator.gamma(2.0, 0.5, count)
    return best, np.maximum(0.0, best + worse + spread * generator.standard_normal(count))


def test_a_trial_that_is_far_behind_is_found_with_72_of_400_rows():
    best, other = drawn(400, worse=2.0)
    found = race(best, level=1e-4)
    first, third = (after(found, other, blocks=count) for count in (1, 3))
    assert (first.is_worse, first.rows) == (False, 32)
    assert third.is_worse
    assert (third.rows, third.rows_in_all) == (72, 400)
    rows = [row for block in found.rows()[:3] for row in block]
    assert 0 < found.at_least({row: other[row] for row in rows}) < third.difference
    assert third.difference == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("worse", [0.0, -0.5, -3.0])
def test_a_trial_that_is_no_worse_is_not_stopped(worse):
    best, other = drawn(400, worse=worse)
    found = race(best)
    standings = [after(found, other, blocks=count + 1) for count in range(len(found.blocks))]
    assert not any(one.is_worse for one in standings)
    assert standings[-1].rows == 400


def test_a_trial_with_the_same_losses_is_not_stopped():
    best, _ = drawn(100, worse=0)
    assert not after(race(best), best, blocks=9).is_worse


def test_the_evidence_is_on_cut_differences_in_their_order_after_the_first_sixteen():
    best, other = drawn(100, worse=0.1, seed=3)
    found = race(best)
    rows = [row for block in found.rows()[:3] for row in block]
    values = np.array([other[row] - best[row] for row in rows])
    bound = 3 * np.abs(values[:16]).mean()
    capital = log_capital(
        np.clip(values, -bound, bound), mean=0.0, bound=bound, population=100, seen=16
    )
    reached = math.exp(-capital.max())
    levels = (reached * 1.01, reached * 0.99)
    standings = [after(race(best, level=level), other, blocks=3) for level in levels]
    assert [one.is_worse for one in standings] == [True, False]


def test_sixteen_rows_alone_say_nothing():
    best, other = drawn(16, worse=5.0)
    assert not after(race(best, first=8), other, blocks=9).is_worse


def test_rare_rows_on_which_it_is_far_better_keep_a_trial():
    """Worse by a little on most rows, and better in the mean: the plain mean stands guard."""
    best = np.full(200, 6.0)
    other = best + 0.2 + 0.01 * np.sin(np.arange(200))
    other[::20] = 0.0
    found = race(best)
    assert (other - best).mean() < 0
    values = np.concatenate([[other[row] - best[row] for row in block] for block in found.rows()])
    bound = 3 * np.abs(values[:16]).mean()
    cut = np.clip(values, -bound, bound)
    assert not after(found, other, blocks=9).is_worse
    assert cut.mean() > values.mean()


def test_units_count_with_their_rows():
    clusters = [row // 4 if row < 160 else row for row in range(240)]
    best, other = drawn(240, worse=1.0)
    found = race(best, clusters=clusters)
    whole = after(found, other, blocks=len(found.blocks))
    assert whole.difference == pytest.approx((other - best).mean())
    assert whole.rows == 240
    assert whole.is_worse


def test_copies_of_rows_in_a_unit_are_no_more_evidence():
    """Each of 60 rows four times: as units they are 60 draws, as rows they would be 240."""
    best, other = drawn(60, worse=0.08, seed=5)
    copies = [np.repeat(one, 4) for one in (best, other)]
    clusters = [row // 4 for row in range(240)]

    def smallest_level(found, losses):
        levels = 10.0 ** -np.arange(0.0, 12.0, 0.5)
        reached = [
            level
            for level in levels
            if after(Race("b", found.losses, found.blocks, level), losses, blocks=99).is_worse
        ]
        return min(reached, default=1.0)

    as_units = smallest_level(race(copies[0], clusters=clusters), copies[1])
    as_rows = smallest_level(race(copies[0]), copies[1])
    assert as_rows < as_units / 10


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_no_standing(loss):
    best, other = drawn(200, worse=1.0)
    other[:] = loss
    with pytest.raises(ValueError, match="not finite"):
        after(race(best), other, blocks=1)


def test_a_level_is_spent_over_all_pairs_and_evaluations():
    level = pair_level(0.05, trials=16, evaluations=4)
    assert level * 4 * 16 * 15 == pytest.approx(0.05)
    assert pair_level(0.05, trials=1, evaluations=1) == 0.05


def test_it_travels_to_all_workers():
    best, other = drawn(100, worse=1.0)
    found = race(best)
    again = pickle.loads(pickle.dumps(found))
    assert after(again, other, blocks=9) == after(found, other, blocks=9)
