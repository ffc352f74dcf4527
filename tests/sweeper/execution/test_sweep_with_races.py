"""A sweep on Ray whose trials race: those far behind end at their first evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import TrialState

from sweeper.search import read_study
from sweeper.tracking.databases import place_of_study
from sweeper.tracking.row_scores import VALIDATION_ROWS
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.execution.commands import run, write_space

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

# One replica, so that the first trial is the one to beat for the others, which learn nothing.
SPACE = """
name: races
profile: tiny
trials:
  - {name: good, method: {name: lora, rank: 4}, train: {learning_rate: 6e-3}}
  - {name: still, method: {name: lora, rank: 4}, train: {learning_rate: 1e-9}}
  - {name: stiller, method: {name: lora, rank: 4}, train: {learning_rate: 1e-10}}
search: {stop: racing, prefetch: 0}
"""
PROFILE = """
name: tiny
model: {kind: embedded}
data: {kind: embedded, eval_rows: 200}
resources: {max_replicas: 1}
train: {steps: 24, batch_size: 8, evaluations: 2, eval_examples: 200}
"""


def test_trials_that_are_far_behind_end_with_a_part_of_the_rows(tmp_path: Path) -> None:
    space = write_space(tmp_path, SPACE, profile=PROFILE)
    home = tmp_path / "home"
    run("run", space, "--name", "races", "--home", home)
    folder = SweepFolder(home / "races")
    good, *others = sorted(folder.trials(), key=lambda trial: trial.number)
    assert (good.status, good.ended_by) == ("complete", "")
    for trial in others:
        assert (trial.status, trial.ended_by) == ("pruned", f"race with {good.id}")
        assert trial.steps == 12
        assert trial.metrics["racing_rows"] < trial.metrics["racing_rows_in_all"] == 200
        assert trial.metrics["racing_at_least"] > 0
        # A loss on a part of the rows is nobody's result.
        assert "eval_loss" not in trial.metrics
        assert not (folder.trial(trial.id).path / VALIDATION_ROWS).exists()
        assert folder.trial(trial.id).adapter.is_dir()
    study = read_study(place_of_study(folder))
    assert study is not None
    first, *rest = study.get_trials()
    assert (first.state, len(first.intermediate_values)) == (TrialState.COMPLETE, 2)
    assert [(x.state, x.intermediate_values) for x in rest] == [(TrialState.PRUNED, {})] * 2
    # It is over: nothing is failed, and nothing is left to be run again.
    before = {trial.id: trial.ended_at for trial in folder.trials()}
    run("resume", "races", "--home", home)
    again = SweepFolder(home / "races")
    assert {trial.id: trial.ended_at for trial in again.trials()} == before
