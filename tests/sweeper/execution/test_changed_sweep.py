"""A sweep on Ray that its owner changes: another space for the next trials, a clone of the best."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.analysis.ranking import rank_sweep
from sweeper.tracking.final_result import is_evaluated
from sweeper.tracking.owner.clones import clones_of
from sweeper.tracking.owner.outside import outside_of
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.execution.commands import run, write_space

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

SPACE = """
name: changed
profile: tiny
methods: [{name: lora, rank: {choice: [2, 4]}}]
train: {learning_rate: {loguniform: [1e-5, 1e-2]}}
search: {trials: 3, asha: null}
"""
PROFILE = """
name: tiny
model: {kind: embedded}
data: {kind: embedded, eval_rows: 40}
resources: {max_replicas: 1}
train: {steps: 8, batch_size: 8, evaluations: 2, eval_examples: 40}
"""


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    space = write_space(tmp_path, SPACE, profile=PROFILE)
    run("run", space, "--name", "changed", "--home", tmp_path / "home")
    return SweepFolder(tmp_path / "home" / "changed")


def test_the_next_trials_are_of_the_changed_space(sweep: SweepFolder) -> None:
    home = sweep.home
    run("extend", "changed", "--trials", 3, "--home", home)
    words = ("--set", "train.learning_rate={loguniform: [2e-2, 5e-2]}")
    ranks = ("--set", "methods.lora.rank={choice: [4, 8]}")
    said = run("resume", "changed", *words, *ranks, "--home", home)
    records = sweep.trials()
    assert len(records) == 6
    new = [record for record in records if record.number >= 3]
    for record in new:
        assert record.status == "complete"
        assert 2e-2 <= float(str(record.params["learning_rate"])) <= 5e-2
        assert record.params["rank"] in (4, 8)
    assert outside_of(sweep, records) == {record.id for record in records if record.number < 3}
    trials = said["trials"]
    assert isinstance(trials, list)
    assert sum(trial["is_outside"] for trial in trials) == 3


def test_a_clone_is_trained_by_the_next_resume_and_stands_apart(sweep: SweepFolder) -> None:
    home, best = sweep.home, rank_sweep(sweep).best
    assert best is not None
    run("clone", f"changed/{best.id}", "--set", "train.learning_rate=5e-3", "--home", home)
    said = run("resume", "changed", "--home", home)
    ((folder, clone),) = clones_of(sweep)
    assert clone.record.status == "complete"
    assert clone.steps_in_all == 2 * best.steps
    assert folder.adapter.is_dir()
    assert sweep.status == "complete"
    assert len(sweep.trials()) == 3
    clones = said["clones"]
    assert isinstance(clones, list)
    assert clones[0]["cloned_from"]["trial"] == best.id
    # It is evaluated on the test split as its parent was.
    assert is_evaluated(folder.path)
    assert is_evaluated(sweep.trial(best.id).path)
