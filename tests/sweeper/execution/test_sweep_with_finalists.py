"""A sweep on Ray that stops all of its trials at a share: the best go on from their checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import TrialState

from sweeper.search import read_study
from sweeper.tracking.databases import place_of_study
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.execution.commands import run, write_space

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

SPACE = """
name: shared
profile: tiny
methods:
  - {name: lora, rank: 4}
train: {learning_rate: {loguniform: [1.0e-5, 1.0e-2]}}
search: {trials: 6, share: {finalists: 2}}
"""
PROFILE = """
name: tiny
model: {kind: embedded}
data: {kind: embedded, eval_rows: 60}
train: {steps: 16, batch_size: 8, evaluations: 4, eval_examples: 60}
"""


def records_of(home: Path) -> list[TrialRecord]:
    return sorted(SweepFolder(home / "shared").trials(), key=lambda trial: trial.number)


def early(home: Path, record: TrialRecord) -> float:
    """What a trial had at its first evaluation."""
    step, metrics = SweepFolder(home / "shared").trial(record.id).evaluations("eval_loss")[0]
    assert step == 4
    return metrics["eval_loss"]


def test_the_best_of_all_go_on_to_their_end_and_after_an_extension_again(tmp_path: Path) -> None:
    space = write_space(tmp_path, SPACE, profile=PROFILE)
    home = tmp_path / "home"
    run("run", space, "--name", "shared", "--home", home)
    records = records_of(home)
    whole = [x for x in records if x.status == "complete"]
    others = [x for x in records if x.status == "pruned"]
    assert (len(whole), len(others)) == (2, 4)
    assert all(x.is_finalist and x.steps == 16 and x.attempts == 2 for x in whole)
    assert all(not x.is_finalist and x.steps == 4 and x.attempts == 1 for x in others)
    assert max(early(home, x) for x in whole) < min(early(home, x) for x in others)
    study = read_study(place_of_study(SweepFolder(home / "shared")))
    assert study is not None
    # The sampler is told one value of each, after equally many steps.
    assert [x.state for x in study.get_trials()] == [TrialState.COMPLETE] * 6
    assert [x.value for x in study.get_trials()] == [early(home, x) for x in records]
    assert all(x.user_attrs["standard_error"] > 0 for x in study.get_trials())
    # Each step was trained once: it went on from its checkpoint.
    for record in whole:
        points = SweepFolder(home / "shared").trial(record.id).points()
        steps = [point.step for point in points if "learning_rate" in point.metrics]
        assert steps == list(range(1, 17))
    # One whose driver died under it is gone on with, and nothing else is done.
    interrupted = SweepFolder(home / "shared").trial(whole[0].id)
    interrupted.promote()
    interrupted.begin()
    run("resume", "shared", "--home", home)
    again = records_of(home)
    assert [x.status for x in again] == [x.status for x in records]
    assert [x.attempts for x in again if not x.is_finalist] == [1] * 4
    run("extend", "shared", "--trials", "3", "--home", home)
    run("resume", "shared", "--home", home)
    final = records_of(home)
    assert len(final) == 9
    best = sorted(final, key=lambda x: early(home, x))[:2]
    assert all(x.status == "complete" for x in best)
    assert {x.status for x in final} == {"complete", "pruned"}
