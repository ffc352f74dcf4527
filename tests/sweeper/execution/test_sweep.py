"""A whole sweep through the command line, with Ray: the shortest of the drills in tests/drills."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.drills.checks import check_left_alone, check_message, check_sweep, outcome
from tests.drills.playground import Playground
from tests.drills.processes import (
    SWEEP,
    check_ended_as_before,
    kill_worker_and_driver,
    resume,
)

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def play(tmp_path):
    play = Playground(tmp_path / "play", random.Random(0))
    yield play
    play.close()


def test_a_replica_that_dies_a_driver_that_is_killed_and_a_trial_that_diverges_lose_nothing(play):
    before = kill_worker_and_driver(play)
    said = resume(play).finish()
    check_message(said, code=1)
    check_ended_as_before(play, before)
    found = outcome(said.document)
    assert Counter(status for status, *_ in found.values()) == {"complete": 2, "failed": 1}
    check_sweep(play, SWEEP, found, attempts=3)
    # The trial that the worker or the driver left went on; the other says what to do.
    records = play.records(SWEEP)
    assert max(record.attempts for record in records) > 1
    [failed] = [record for record in records if record.status == "failed"]
    assert failed.error is not None
    assert failed.error.type == "DivergedError"
    assert "lower the learning rate" in failed.error.message
    check_left_alone(play)
