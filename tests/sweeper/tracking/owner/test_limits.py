"""What a sweep may take and what it has taken, in its folder."""

import json

import pytest

from sweeper.errors import DamagedFileError
from sweeper.tracking.owner.limits import (
    LIMITS_FILE,
    UNSAID_S,
    USAGE_FILE,
    Limits,
    Meter,
    Usage,
    joined,
    limits_of,
    note_limits,
    usage_of,
)

DRIVER = "0123456789ab"


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def test_a_sweep_without_files_may_take_anything_and_has_taken_nothing(tmp_path):
    assert limits_of(tmp_path) == Limits()
    assert usage_of(tmp_path) == Usage()
    assert Limits().left_s(Usage(), per_hour=1) is None


def test_limits_are_kept_and_new_ones_come_over_them(tmp_path):
    note_limits(tmp_path, Limits(max_hours=8, max_memory_bytes=10))
    wider = Limits(max_hours=9).over(limits_of(tmp_path))
    assert wider == Limits(max_hours=9, max_memory_bytes=10)
    assert str(wider) == "9 h 00 min and 10 B a worker"


def test_only_the_time_of_runs_counts(tmp_path):
    clock = Clock()
    first = Meter(tmp_path, DRIVER, clock)
    first.price(6)
    clock.now_s += 1800
    first.note(is_last=True)
    # A day later.
    clock.now_s += 86_400
    second = Meter(tmp_path, DRIVER, clock)
    clock.now_s += 900
    second.note(is_last=True)
    used = usage_of(tmp_path)
    assert (used.seconds, used.cost) == (2700, 3.0)
    assert Limits(max_hours=1).left_s(used, per_hour=None) == 900
    # Three are used of four, and an hour costs two from now on.
    assert Limits(max_cost=4).left_s(used, per_hour=2) == 1800
    assert Limits(max_hours=1, max_cost=4).left_s(used, per_hour=2) == 900


def test_a_killed_driver_is_charged_what_it_may_not_have_noted(tmp_path):
    clock = Clock()
    killed = Meter(tmp_path, DRIVER, clock)
    clock.now_s += 60
    killed.note()
    assert usage_of(tmp_path).seconds == 60 + UNSAID_S
    # While it lives it charges nothing for itself.
    assert killed.usage.seconds == 60
    assert Meter(tmp_path, DRIVER, clock).usage.seconds == 60 + UNSAID_S


def test_what_sweeps_that_share_limits_have_taken_counts_once(tmp_path):
    search, confirmation = tmp_path / "s", tmp_path / "c"
    for folder in (search, confirmation):
        folder.mkdir()
    clock = Clock()
    first = Meter(search, DRIVER, clock)
    clock.now_s += 60
    first.note()
    # Before the search's driver has ended the other one has its word of then.
    second = Meter(confirmation, DRIVER, clock, usage_of(search))
    clock.now_s += 30
    first.note(is_last=True)
    second.note(is_last=True)
    assert usage_of(search).seconds == 90
    whole = joined([usage_of(confirmation), usage_of(search)])
    assert whole.seconds == 90 + 30
    assert len(whole.periods) == 2
    assert joined([whole, whole]) == whole
    assert Meter(confirmation, DRIVER, clock, usage_of(search)).before == whole


@pytest.mark.parametrize("seconds", [-1, "all", float("inf")])
def test_a_usage_that_there_cannot_be_is_damage(tmp_path, seconds):
    period = {"driver": DRIVER, "started_at": "2026-01-01T00:00:00Z", "seconds": seconds}
    (tmp_path / USAGE_FILE).write_text(json.dumps({"periods": [period]}))
    with pytest.raises(DamagedFileError, match=USAGE_FILE):
        usage_of(tmp_path)


def test_limits_that_there_cannot_be_are_damage(tmp_path):
    (tmp_path / LIMITS_FILE).write_text('{"max_hours": 0}')
    with pytest.raises(DamagedFileError, match=LIMITS_FILE):
        limits_of(tmp_path)
