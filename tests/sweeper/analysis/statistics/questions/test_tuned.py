"""Peaks of curves over the rate."""

from dataclasses import replace

import numpy as np
import pytest

from sweeper.analysis.statistics.questions import RateGrid, peak_components, peak_of
from sweeper.errors import BadInputError
from tests.sweeper.analysis.statistics.sweeps import table_of

RATES = tuple(1e-4 * 2.0**i for i in range(6))
GRID = RateGrid("a", "train.learning_rate", RATES, tuple(f"a{i}" for i in range(6)))


def table(curve, shifts=(0.0, 0.0, 0.0), rows=20):
    """Scores of rates on a curve, moved by each seed."""
    scores = [np.repeat((value + np.array(shifts))[:, None], rows, axis=1) for value in curve]
    return table_of(scores, names=GRID.configurations[: len(curve)])


def peaks(scores, validation, grids=(GRID,)):
    """The peaks of some methods, and the parts of their variance."""
    tests, choices = ({x.name: x for x in each.configurations} for each in (scores, validation))
    tops = [peak_of(grid, tests, choices) for grid in grids]
    return tops, peak_components(scores, grids, tops)


def without(scores, *places):
    """The table without some rates."""
    kept = [x for i, x in enumerate(scores.configurations) if i not in places]
    return replace(scores, configurations=tuple(kept))


def parabola(top, height=0.7, width=0.01):
    return [height - width * (i - top) ** 2 for i in range(6)]


@pytest.mark.parametrize("top", [1.5, 2.0, 2.3, 3.4])
def test_the_peak_of_a_parabola_is_its_top(top):
    scores = table(parabola(top))
    (peak,), components = peaks(scores, scores)
    assert peak.value == pytest.approx(0.7)
    assert peak.rate == pytest.approx(1e-4 * 2**top)
    assert peak.variance == pytest.approx(0.0, abs=1e-20)
    assert not peak.at_edge
    assert components.means == pytest.approx([0.7])


@pytest.mark.parametrize(("top", "best"), [(-1.0, 0), (7.0, 5)])
def test_a_best_rate_at_an_end_is_seen(top, best):
    scores = table(parabola(top))
    (peak,), _ = peaks(scores, scores)
    assert peak.at_edge
    assert peak.best == best
    # The parabola is not followed out of the grid.
    assert peak.rate == pytest.approx(RATES[best])


def test_a_neighbour_that_diverged_does_not_lift_the_peak():
    # Above the best rate training diverges: losses of 2.0 to 0.37, then 3.7, the sign turned.
    curve = [-2.0, -0.8, -0.5, -0.37, -3.7, -8.0]
    scores = table(curve)
    (peak,), _ = peaks(scores, scores)
    # As if the loss above were 0.8, the second below.
    assert peak.value == pytest.approx(-0.37 + 0.3**2 / (8 * 0.56))
    assert RATES[2] < peak.rate < RATES[3]
    # How far training diverged is no matter, nor on which side.
    worse = table([*curve[:4], -37.0, -80.0])
    assert peaks(worse, worse)[0][0].value == peak.value
    turned = table(curve[::-1])
    assert peaks(turned, turned)[0][0].value == pytest.approx(peak.value)


def test_what_lies_between_the_best_rate_and_a_fall_is_uncertain():
    scores = table([0.1, 0.3, 0.5, 0.6, -3.0, -8.0])
    (peak,), components = peaks(scores, scores)
    assert peak.unseen == pytest.approx((0.2 * 0.1) ** 2)
    assert components.unseen == pytest.approx([peak.unseen])
    # It is no more for the fall, and none of the seeds' own.
    assert components.seed_excess == pytest.approx([peak.variance])
    assert components.covariance[0, 0] >= peak.variance + peak.unseen
    error = components.contrasts(np.ones((1, 1))).standard_errors[0]
    assert error**2 >= peak.variance + peak.unseen
    smooth = table(parabola(2.4))
    assert peaks(smooth, smooth)[0][0].unseen == 0


def test_a_seed_that_diverged_beside_the_best_rate_is_not_in_the_variance():
    shifts = np.array([0.0, 0.02, -0.03])
    scores = table([0.1, 0.3, 0.5, 0.6, -3.0, -8.0], shifts)
    fourth = scores.configurations[4]
    luck = replace(fourth, scores=fourth.scores - np.array([0.0, 9.0, 0.0])[:, None])
    configurations = (*scores.configurations[:4], luck, scores.configurations[5])
    scores = replace(scores, configurations=configurations)
    (peak,), _ = peaks(scores, scores)
    assert peak.variance == pytest.approx(shifts.var(ddof=1) / 3)


def test_beside_an_end_of_the_grid_a_parabola_turns_inwards_alone():
    # Nothing beyond the end bounds what lies on the other side.
    scores = table([0.55, 0.6, -3.0, -8.0, -8.0, -8.0])
    (peak,), _ = peaks(scores, scores)
    assert (peak.best, peak.at_edge) == (1, False)
    assert peak.value == pytest.approx(0.6)
    assert peak.rate == pytest.approx(RATES[1])


def test_three_on_a_hollow_take_the_higher_end():
    scores = table([0.1, 0.2, 0.5, 0.4, 0.6, 0.2])
    validation = table([0.1, 0.2, 0.3, 0.9, 0.6, 0.2])
    (peak,), _ = peaks(scores, validation)
    assert peak.best == 3
    assert peak.value == pytest.approx(0.6)
    assert peak.rate == pytest.approx(RATES[4])


def test_the_variance_of_a_seed_that_moves_the_whole_curve_is_its_own():
    shifts = np.array([0.0, 0.02, 0.07, -0.03])
    scores = table(parabola(2.3), shifts)
    (peak,), components = peaks(scores, scores)
    assert peak.variance == pytest.approx(shifts.var(ddof=1) / 4)
    assert peak.seeds == 4
    assert components.seed_excess == pytest.approx([peak.variance])
    assert components.seed_df == pytest.approx([3.0])


def test_a_choice_that_hangs_on_one_seed_is_in_the_variance():
    # On test the curve has two levels; one seed decides between them on validation.
    curve = [0.1, 0.5, 0.1, 0.1, 0.8, 0.1]
    scores = table(curve)
    votes = [np.zeros((3, 20)) for _ in curve]
    votes[1][:] = np.array([0.3, 0.3, 0.0])[:, None]
    votes[4][:] = np.array([0.0, 0.0, 0.61])[:, None]
    validation = table_of(votes, names=GRID.configurations)
    (peak,), _ = peaks(scores, validation)
    assert peak.best == 4
    assert peak.variance > 0.01


def test_a_rate_of_which_no_seed_lived_is_a_fall_and_no_end():
    curve = [0.1, 0.3, 0.5, 0.6, -3.0, -8.0]
    scores = table(curve)
    (fell,), _ = peaks(scores, scores)
    for gone in ((4, 5), (4,)):
        less = without(scores, *gone)
        (peak,), _ = peaks(less, less)
        assert (peak.best, peak.at_edge) == (3, False)
        assert peak.value == pytest.approx(fell.value)
        assert peak.unseen == pytest.approx(fell.unseen) == pytest.approx((0.2 * 0.1) ** 2)
        assert peak.rate == pytest.approx(fell.rate)
    # One seed that lived where the others diverged is no score of the rate.
    single = scores.configurations[4]
    lucky = replace(single, seeds=(0,), scores=single.scores[:1] + 9.0)
    rest = without(scores, 4)
    scores = replace(rest, configurations=(*rest.configurations, lucky))
    assert peaks(scores, scores)[0][0].value == pytest.approx(fell.value)


def test_rates_missing_on_both_sides_leave_the_best_rate_itself():
    scores = without(table(parabola(2.3)), 1, 3)
    (peak,), _ = peaks(scores, scores)
    assert peak.best == 2
    assert np.isfinite([peak.value, peak.variance, peak.unseen, peak.rate]).all()
    assert peak.value == pytest.approx(parabola(2.3)[2], abs=0.01)
    assert peak.unseen > 0


def test_a_seed_that_failed_at_one_rate_is_missed_there_only():
    scores = table(parabola(2.3), (0.0, 0.01, 0.02))
    third = scores.configurations[2]
    cut = replace(third, seeds=(0, 2), scores=third.scores[[0, 2]])
    less = replace(
        scores, configurations=(*scores.configurations[:2], cut, *scores.configurations[3:])
    )
    (peak,), _ = peaks(less, less)
    assert peak.seeds == 3
    assert peak.value == pytest.approx(0.71, abs=1e-3)


def test_too_little_of_a_grid_is_refused():
    scores = table(parabola(1.0)[:2])
    with pytest.raises(BadInputError, match=r"method a: 2 values of train.learning_rate have 2 s"):
        peaks(scores, scores)
    single = table(parabola(2.0), (0.0,))
    with pytest.raises(BadInputError, match=r"0 values of .* needs 3 such values; give more"):
        peaks(single, single)
