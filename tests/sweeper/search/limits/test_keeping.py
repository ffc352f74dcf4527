"""Which trial may begin in the time that is left, by numbers alone."""

import pytest

from sweeper.search.limits.keeping import TimeKeeper, TrialTimes, may_begin


def keeper(left_s, *, times=None, replicas=1, final_s=0.0, closing_s=10.0):
    return TimeKeeper(
        lambda: left_s,
        times=times or TrialTimes(doubt=1.0),
        replicas=replicas,
        final_s=final_s,
        closing_s=closing_s,
    )


@pytest.mark.parametrize(
    ("before_s", "replicas", "left_s", "is_so"),
    [
        ([], 1, 100, True),
        ([], 1, 99, False),
        # One waits for the other, or not.
        ([50], 1, 149, False),
        ([50], 1, 150, True),
        ([50], 2, 100, True),
        # Two train, one waits: the next is free when the shorter one has ended.
        ([80, 30, 40], 2, 170, True),
        ([80, 30, 40], 2, 169, False),
    ],
)
def test_a_trial_begins_where_it_ends_in_time(before_s, replicas, left_s, is_so):
    assert may_begin(100, left_s=left_s, before_s=before_s, replicas=replicas) is is_so


def test_without_a_trial_the_doubt_of_the_forecast_is_the_bound():
    times = TrialTimes(doubt=1.4)
    assert (times.likely, times.bound) == (1.0, 1.4)


def test_few_trials_widen_the_largest_ratio():
    times = TrialTimes(doubt=1.4)
    times.take(forecast_s=100, measured_s=90)
    times.take(forecast_s=100, measured_s=120)
    assert times.bound == pytest.approx(1.3 * 1.2)


def test_many_alike_trials_bring_the_bound_to_what_they_take():
    times = TrialTimes(doubt=2.0)
    for measured_s in (199, 200, 201, 200, 199, 201):
        times.take(forecast_s=100, measured_s=measured_s)
    assert times.likely == pytest.approx(2.0)
    assert 2.0 < times.bound < 2.05


def test_one_trial_that_was_held_up_says_nothing_of_the_others():
    times = TrialTimes(doubt=1.4)
    times.take(forecast_s=100, measured_s=2700)
    assert (times.likely, times.bound) == (1.0, 1.4)
    times.take(forecast_s=100, measured_s=120)
    assert times.bound == pytest.approx(1.3 * 1.2)
    for measured_s in (119, 120, 121):
        times.take(forecast_s=100, measured_s=measured_s)
    assert times.bound < 1.25


def test_two_trials_tell_that_the_forecast_is_wrong():
    times = TrialTimes(doubt=1.4)
    for measured_s in (2700, 2600):
        times.take(forecast_s=100, measured_s=measured_s)
    assert times.bound == pytest.approx(1.3 * 27)


def test_a_trial_without_a_forecast_says_nothing():
    times = TrialTimes(doubt=1.4)
    times.take(forecast_s=0, measured_s=5)
    times.take(forecast_s=5, measured_s=float("inf"))
    assert times.bound == 1.4


def test_the_evaluation_at_the_end_and_the_end_itself_are_kept_free():
    assert keeper(130, final_s=20).admits("a", 100, before_s=[])
    refusing = keeper(129, final_s=20)
    assert not refusing.admits("a", 100, before_s=[])
    assert refusing.refused == "a"


def test_what_is_admitted_after_all_was_not_refused():
    own = keeper(200)
    assert not own.admits("a", 250, before_s=[])
    assert own.admits("a", 100, before_s=[])
    assert own.refused is None


def test_a_sweep_is_over_while_there_is_time_to_end_it():
    assert keeper(10).is_over
    assert not keeper(10.1).is_over


def test_what_a_limit_lacks_for_a_trial_is_what_would_admit_it():
    short = keeper(100, times=TrialTimes(doubt=2.0), final_s=5)
    lacking_s = short.lacking_s(60)
    assert lacking_s == 40
    assert keeper(100 + lacking_s, times=TrialTimes(doubt=2.0), final_s=5).admits(
        "a", 60, before_s=[]
    )
    assert keeper(200, final_s=5).lacking_s(60) == 0
