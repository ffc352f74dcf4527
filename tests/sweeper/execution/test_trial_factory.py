"""What of a point goes to its record and to a replica."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from sweeper.errors import TrialError
from sweeper.execution.trial_factory import TrialFactory
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.search import Suggestion, draw_all, preview
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from tests.places import SPACES

EMBEDDED = str(SPACES / "profiles" / "embedded.yaml")

KINDS = """
name: kinds
methods: [{name: lora, rank: %s}]
train: {learning_rate: {loguniform: [1e-3, 1e-2]}}
baselines: [{train: {learning_rate: 2e-3}}]
search: {trials: 4, startup_trials: 1}
"""


@pytest.mark.parametrize(
    ("rank", "origins"),
    [
        ("4", ["baseline", "search", "search", "search"]),
        ("{grid: [4, 8]}", ["baseline", "grid", "grid", "grid"]),
    ],
)
def test_plan_and_record_name_the_same_origin(
    tmp_path: Path, rank: str, origins: list[str]
) -> None:
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS % rank)
    sweep = load_sweep(path, profile=EMBEDDED)
    folder = SweepFolder.create(tmp_path, "sweep-1", document=sweep.document)
    trials = TrialFactory(folder, sweep, data_fingerprint="")
    points = islice(preview(sweep.space, sweep.spec.search), sweep.spec.search.trials)
    for number, (point, _) in enumerate(points):
        trials.job(Suggestion(number, point, trials.identify(point)))
    assert [record.origin for record in folder.trials()] == origins
    assert [trial.origin for trial in draw_all(sweep)] == origins


def test_a_plan_tells_which_trials_depend_on_results(tmp_path: Path) -> None:
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS % "4")
    drawn = draw_all(load_sweep(path, profile=EMBEDDED))
    assert [trial.is_example for trial in drawn] == [False, True, True, True]


def test_job_and_record_are_of_the_same_trial(tmp_path: Path) -> None:
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS % "4")
    sweep = load_sweep(path, profile=EMBEDDED, overrides=["train.steps=6", "train.evaluations=3"])
    folder = SweepFolder.create(tmp_path, "sweep-1", document=sweep.document)
    point, _ = next(preview(sweep.space, sweep.spec.search))
    trials = TrialFactory(folder, sweep, data_fingerprint="rows")
    job = trials.job(Suggestion(0, point, trials.identify(point)))
    record = TrialFolder(job.folder).read()
    assert (record.id, record.number, record.status) == (job.trial_id, 0, "queued")
    assert job.evaluation_steps == (2, 4, 6)
    spec = TrialSpec.model_validate_json(job.spec_json)
    assert spec == sweep.space.trial(point)
    assert spec.identity(data_fingerprint="rows") == job.trial_id
    assert spec.identity(data_fingerprint="others") != job.trial_id


def test_a_callback_that_changes_while_a_sweep_runs_is_not_run(tmp_path: Path) -> None:
    hook = tmp_path / "hooks.py"
    hook.write_text("class Hook:\n    def on_step(self, *_): ...\n")
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS % "4")
    callbacks = f'train.callbacks=["{hook}:Hook"]'
    sweep = load_sweep(path, profile=EMBEDDED, overrides=[callbacks])
    folder = SweepFolder.create(tmp_path, "sweep-1", document=sweep.document)
    point, _ = next(preview(sweep.space, sweep.spec.search))
    trials = TrialFactory(folder, sweep, data_fingerprint="rows")
    job = trials.job(Suggestion(0, point, trials.identify(point)))
    trial = TrialSpec.model_validate_json(job.spec_json)
    job.require_callbacks(trial)
    hook.write_text("class Hook:\n    def on_step(self, *_): return True\n")
    with pytest.raises(TrialError, match=r"hooks\.py:Hook has changed .*; bring the file back"):
        job.require_callbacks(trial)
    changed = trials.job(Suggestion(0, point, trials.identify(point)))
    changed.require_callbacks(trial)
    assert changed.trial_id != job.trial_id


def test_a_trial_comes_back_with_the_files_that_it_was_of(tmp_path: Path) -> None:
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS % "4")
    sweep = load_sweep(path, profile=EMBEDDED)
    folder = SweepFolder.create(tmp_path, "sweep-1", document=sweep.document)
    point, _ = next(preview(sweep.space, sweep.spec.search))
    ids: list[str] = []
    for fingerprint in ("rows", "others", "rows"):
        trials = TrialFactory(folder, sweep, data_fingerprint=fingerprint)
        before = ids[-1] if ids else None
        ids.append(trials.identify(point))
        trials.job(Suggestion(0, point, ids[-1], supersedes=before))
    first, second, _ = ids
    found = {record.id: (record.status, record.superseded_by) for record in folder.trials()}
    assert found == {first: ("queued", ""), second: ("superseded", first)}


def test_replicas_are_made_of_what_all_trials_have_in_common(tmp_path: Path) -> None:
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS % "4")
    sweep = load_sweep(path, profile=EMBEDDED)
    folder = SweepFolder.create(tmp_path, "sweep-1", document=sweep.document)
    config = TrialFactory(folder, sweep, data_fingerprint="").replica_config()
    assert (config.model, config.data) == (sweep.spec.model, sweep.spec.data)
    assert config.sweep_folder == folder.path
    assert config.train.max_length == sweep.space.any_trial().train.max_length
