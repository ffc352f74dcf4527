"""Two replicas of a sweep on one machine: both come up, and both run trials."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from sweeper.tracking.owner.life import driver_of
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.execution.commands import run, write_space

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

SPACE = """
name: two
profile: tiny
methods: [{name: lora, rank: 2}]
train: {learning_rate: {loguniform: [1e-4, 1e-2]}}
search: {trials: 10, asha: null}
final: {trials: 0}
"""
PROFILE = """
name: tiny
model: {kind: embedded}
data: {kind: embedded, eval_rows: 40}
resources: {max_replicas: 2}
train: {steps: 24, batch_size: 8, evaluations: 2, eval_examples: 40}
"""


def test_the_second_replica_comes_up_beside_the_first(tmp_path: Path) -> None:
    space = write_space(tmp_path, SPACE, profile=PROFILE)
    run("run", space, "--name", "two", "--home", tmp_path / "home")
    folder = SweepFolder(tmp_path / "home" / "two")
    records = folder.trials()
    assert [record.status for record in records] == ["complete"] * 10
    word = driver_of(folder.path).word
    assert word is not None
    assert (word.replicas, word.ready, word.restarts) == (2, 2, 0)
    # Trials of two replicas overlap in time, those of one never do.
    times = [(record.started_at, record.ended_at) for record in records]
    spans = sorted((begun, ended) for begun, ended in times if begun and ended)
    assert any(begun < ended for (_, ended), (begun, _) in itertools.pairwise(spans))
