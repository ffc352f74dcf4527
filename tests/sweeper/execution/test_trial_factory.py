"""What of a point goes to its record and to a replica."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import optuna
import pytest

from sweeper.analysis.ranking import rank
from sweeper.errors import TrialError
from sweeper.evaluation.racing import RaceTerms
from sweeper.execution.pool import Job
from sweeper.execution.trial_factory import TrialFactory
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.search import TRIAL_ID, Suggestion, draw_all, preview
from sweeper.tracking.owner.extending import extend
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from sweeper.training.schedule import evaluation_steps
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


def test_a_training_is_evaluated_at_the_steps_of_its_trial(tmp_path: Path) -> None:
    sweep = load_sweep(SPACES / "masa.yaml", profile="embedded")
    trial = sweep.space.any_trial()
    job = Job.training("a" * 12, 3, tmp_path, trial, data_fingerprint="rows")
    steps = evaluation_steps(trial.train)
    assert job == Job("a" * 12, 3, tmp_path, steps, trial.model_dump_json(), "rows")
    assert len(steps) == trial.train.evaluations
    assert steps[-1] == trial.train.steps


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


def factory_of(tmp_path: Path, *overrides: str) -> TrialFactory:
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS % "4")
    sweep = load_sweep(path, profile=EMBEDDED, overrides=["train.evaluations=4", *overrides])
    folder = SweepFolder.create(tmp_path, "sweep-1", document=sweep.document)
    return TrialFactory(folder, sweep, data_fingerprint="")


def job_of(trials: TrialFactory) -> Job:
    point, _ = next(iter(preview(trials.sweep.space, trials.sweep.spec.search)))
    return trials.job(Suggestion(0, point, trials.identify(point)))


def test_a_job_says_how_its_trial_races(tmp_path: Path) -> None:
    assert job_of(factory_of(tmp_path / "asha")).racing is None
    racing = ("search.stop=racing", "search.racing.rows=20", "search.seed=3")
    terms = job_of(factory_of(tmp_path / "races", *racing)).racing
    # Over 4 evaluations, and the ordered pairs of 4 trials.
    assert terms == RaceTerms(0.05 / (4 * 4 * 3), first_rows=20, seed=3, grace=1)
    graced = factory_of(tmp_path / "graced", *racing, "search.racing.grace=3")
    terms = job_of(graced).racing
    assert terms == RaceTerms(0.05 / (2 * 4 * 3), first_rows=20, seed=3, grace=3)
    never = factory_of(tmp_path / "never", *racing, "search.racing.grace=5")
    assert job_of(never).racing is None


def test_an_extended_search_spends_the_level_over_all_of_its_trials(tmp_path: Path) -> None:
    trials = factory_of(tmp_path, "search.stop=racing")
    before = job_of(trials)
    extend(SweepFolder(trials.folder.path), trials=6)
    after = job_of(replace(trials, folder=SweepFolder(trials.folder.path)))
    assert (before.trial_id, before.folder) == (after.trial_id, after.folder)
    assert after.racing is not None
    assert after.racing.level == pytest.approx(0.05 / (4 * 10 * 9))


def test_a_trial_that_lost_its_first_race_has_not_failed(tmp_path: Path) -> None:
    trials = factory_of(tmp_path, "search.stop=racing")
    job = job_of(trials)
    folder = trials.folder.trial(job.trial_id)
    assert not trials.is_ended_on_purpose(job.trial_id)
    folder.append(10, {"racing_rows": 48.0})
    folder.prune(ended_by="race with 0123456789ab")
    assert trials.is_ended_on_purpose(job.trial_id)
    record = folder.read()
    assert record.status_text == "pruned (race with 0123456789ab)"
    # It has no score, and no evaluation that Optuna could be told of.
    assert folder.evaluations("eval_loss") == []
    assert "eval_loss" not in record.metrics
    ranking = rank([record], trials.sweep.spec.objective)
    assert (ranking.best, ranking.others) == (None, (record,))


def test_a_resume_stops_no_trial_where_it_has_passed(tmp_path: Path) -> None:
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS % "4")
    sweep = load_sweep(path, profile=EMBEDDED, overrides=("search.asha.grace=1",))
    folder = SweepFolder.create(tmp_path, "sweep-1", document=sweep.document)
    study = optuna.create_study()
    for name, values in (("left", [9.0, 8.0]), ("good", [1.0]), ("new", [])):
        trial = study.ask()
        trial.set_user_attr(TRIAL_ID, name)
        for evaluation, value in enumerate(values, start=1):
            trial.report(value, evaluation)
        if name == "good":
            study.tell(trial, 1.0)
    stopping = TrialFactory(folder, sweep, data_fingerprint="").stopping(study)
    assert not stopping.decide("left", 1, 9.0)
    assert stopping.decide("new", 1, 9.0)
