"""What workers tell each other, and what happens when one of them is lost."""

import threading
import time
from pathlib import Path

import pytest
import torch

from sweeper import distributed
from tests.sweeper import scenarios, tiny


def talk():
    rank = distributed.rank()
    return (
        distributed.workers(),
        distributed.sum_over_ranks([rank, 0.1], device=torch.device("cpu")),
        distributed.broadcast(f"from {rank}"),
        distributed.gather(None if rank else {"rank": rank}),
        distributed.is_meeting(distributed.control_group()),
    )


@pytest.mark.parametrize("workers", [1, 3])
def test_all_workers_hear_the_same(workers):
    found = scenarios.run(talk, workers)
    total = float(sum(range(workers)))
    everyone = [{"rank": 0}] + [None] * (workers - 1)
    for said in found:
        assert said == (workers, [total, pytest.approx(0.1 * workers)], "from 0", everyone, True)


def test_a_process_without_a_group_is_alone():
    assert (distributed.rank(), distributed.workers()) == (0, 1)
    assert distributed.sum_over_ranks([2.5], device=torch.device("cpu")) == [2.5]
    assert distributed.broadcast("x") == "x"
    assert distributed.gather("x") == ["x"]
    assert distributed.is_meeting(None)


def fail_alone(folder):
    distributed.MEETING_TIME_S = 1.0
    spec = tiny.trial(workers=2, zero_stage=3)
    if distributed.rank() == 0:
        return scenarios.attempt(spec, Path(folder), die_at=1)[0]
    # It waits for worker 0 in the next forward pass, for longer than a test may.
    hanging = threading.Thread(target=scenarios.attempt, args=(spec, Path(folder)), daemon=True)
    hanging.start()
    time.sleep(5)
    return hanging.is_alive()


def test_a_worker_that_fails_alone_does_not_wait_for_the_others(tmp_path):
    error, is_hanging = scenarios.run(fail_alone, 2, tmp_path)
    assert error.startswith("TrialError: InterruptedError on worker 0 alone: died at step 1")
    assert "restart the replica" in error
    assert is_hanging
