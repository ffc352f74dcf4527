"""Sweeps on several machines, which join late, are killed, or lose their head."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.drills.checks import check_left_alone, check_message, check_sweep
from tests.drills.playground import Playground
from tests.sweeper.execution.nodes.machines import HEAD, Machines
from tests.sweeper.execution.nodes.sweeps import (
    SWEEP,
    hold,
    let_go,
    undisturbed,
    wait_for_held,
    write,
)
from tests.whole import few

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

NewCluster = Callable[[], Machines]
# Seconds within which a driver notices that its head has died, on a busy machine.
NOTICED_S = 90.0


# The worker that is left: the one that keeps the record knows most, and could say the most of it.
@pytest.mark.parametrize("left", few([0, 1], 0))
def test_a_replica_on_two_machines_goes_on_from_its_checkpoint_when_one_of_them_is_lost(
    play: Playground, new_cluster: NewCluster, left: int
) -> None:
    write(play, rates=[3e-3, 2e-3], workers=2, replicas=1, zero_stage=3)
    cluster = new_cluster()
    cluster.start("head", **HEAD, resources={"trial": 100})
    for name in ("one", "two"):
        cluster.start(name)
    hold(play)
    run = play.start("run", play.space, "--name", SWEEP, "--json", "--address", cluster.address)
    [first] = wait_for_held(play, run, trials=1)
    assert sorted(first.nodes) == ["one", "two"]
    lost = first.nodes[1 - left]
    cluster.kill(lost)
    let_go(play)
    cluster.start("three")
    check_message(run.finish(), code=0)
    reference = undisturbed(play, workers=2)
    check_sweep(play, SWEEP, reference, attempts=2)
    by_number = sorted(play.records(SWEEP), key=lambda record: record.number)
    assert [record.attempts for record in by_number] == [2, 1]
    for record in by_number:
        assert sorted(record.nodes) == sorted({"one", "two", "three"} - {lost})
    check_left_alone(play)


@pytest.mark.whole
def test_a_machine_that_joins_late_is_used_and_a_new_head_goes_on_where_the_old_one_died(
    play: Playground, new_cluster: NewCluster
) -> None:
    write(play, rates=[3e-3, 2e-3, 1e-3], workers=1, replicas=2, zero_stage=0)
    old = new_cluster()
    # Of a user who started Ray without a word of trials.
    old.start("head", **HEAD)
    old.start("one")
    hold(play)
    run = play.start("run", play.space, "--name", SWEEP, "--json", "--address", old.address)
    [first] = wait_for_held(play, run, trials=1)
    assert first.nodes == ["one"]
    old.start("two")
    both = wait_for_held(play, run, trials=2)
    assert sorted(record.nodes for record in both) == [["one"], ["two"]]

    old.kill("head")
    said = run.finish(NOTICED_S)
    check_message(said, "Ray's head at", "Continue with: python -m sweeper resume", code=1)
    new = new_cluster()
    new.start("new-head", **HEAD, resources={"trial": 100})
    for name in ("three", "four"):
        new.start(name)
    resume = play.start("resume", SWEEP, "--json", "--address", "auto")
    again = wait_for_held(play, resume, trials=2, attempt=2)
    assert sorted(record.nodes for record in again) == [["four"], ["three"]]
    # Workers of the old head have heard nothing of its end: now they train on, beside the new ones.
    assert len(old.processes("RayTrainWorker")) == 2
    let_go(play)
    check_message(resume.finish(), code=0)
    check_sweep(play, SWEEP, undisturbed(play, workers=1), attempts=2)
    check_left_alone(play)
