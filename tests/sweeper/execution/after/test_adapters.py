"""Which stopped trials have no adapter yet, and what becomes of them; without Ray."""

import logging
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from sweeper.execution.after import save_adapters, unsaved_jobs
from sweeper.execution.driver import SweepDriver
from sweeper.execution.pool import Message
from sweeper.experiment.loading import load_sweep
from sweeper.search import TRIAL_ID
from sweeper.tracking.trial_folder import TrialFolder
from tests.places import SPACES

NO_POOL: Any = None


@pytest.fixture
def sweep():
    return load_sweep(
        SPACES / "masa.yaml", profile="embedded", overrides=("search.share.finalists=1",)
    )


@pytest.fixture
def trials(add_trials):
    """Three trials at their first evaluation, as a driver leaves them that was killed there."""
    found = []
    for spec, trial in add_trials(3):
        worker = TrialFolder(trial.path)
        worker.begin()
        first = spec.train.steps // spec.train.evaluations
        worker.append(first, {"eval_loss": 1.0, "step_time_s": 0.5})
        found.append(trial)
    return found


def study_of(trials, state=TrialState.COMPLETE):
    study = optuna.create_study()
    for trial in trials:
        value = 1.0 if state == TrialState.COMPLETE else None
        study.add_trial(
            optuna.trial.create_trial(state=state, value=value, user_attrs={TRIAL_ID: trial.id})
        )
    return study


def numbers(folder, study, *, rows="rows", stop="share"):
    return [job.number for job in unsaved_jobs(folder, study, rows, stop=stop)]


def test_a_stopped_trial_without_an_adapter_ends_at_its_last_evaluation(folder, trials):
    study = study_of(trials)
    # Pruned by the record, interrupted, or put back among those that wait.
    trials[0].prune()
    trials[1].requeue()
    assert numbers(folder, study) == [0, 1, 2]
    (job, *_) = unsaved_jobs(folder, study, "rows", stop="share")
    assert job.ends_at == trials[0].read().steps == job.evaluation_steps[0]
    trials[0].adapter.mkdir()
    assert numbers(folder, study) == [1, 2]
    assert numbers(folder, study_of(trials, TrialState.PRUNED), stop="asha") == [1, 2]
    assert numbers(folder, study, stop="asha") == []
    assert numbers(folder, study_of(trials, TrialState.RUNNING)) == []


def test_what_was_ended_otherwise_or_goes_on_is_not_ended_again(folder, trials):
    trials[0].promote()
    trials[1].stop()
    trials[2].fail("DivergedError", "the loss is not a number")
    assert numbers(folder, study_of(trials)) == []


def test_what_would_be_another_trial_now_has_no_adapter(folder, trials):
    assert numbers(folder, study_of(trials), rows="others") == []


@pytest.fixture
def ran(monkeypatch, trials):
    """Saves the adapter of the first trial; loses the second one's replica, and fails the third."""
    waited = []

    def run_jobs(_, jobs):
        assert {trial.read().status for trial in trials} == {"queued"}
        first, _, third = (TrialFolder(job.folder) for job in jobs)
        for trial in (first, third):
            trial.begin()
        first.adapter.mkdir()
        first.prune(train_time_s=0.25)
        third.fail("TrialError", "no room")
        return [
            Message("end", status="pruned"),
            Message("end", status="failed", error="lost", is_recorded=False),
            Message("end", status="failed", error="no room"),
        ]

    monkeypatch.setattr("sweeper.execution.after.adapters.run_jobs", run_jobs)
    monkeypatch.setattr(
        "sweeper.execution.after.adapters.wait_ended", lambda _, ids: waited.append(list(ids))
    )
    return waited


def test_trials_stay_stopped_whether_their_adapters_can_be_saved_or_not(
    folder, trials, ran, caplog
):
    study = study_of(trials)
    with caplog.at_level(logging.WARNING):
        save_adapters(NO_POOL, folder, study, "rows", stop="share")
    assert ran == [[trial.id for trial in trials]]
    records = [trial.read() for trial in trials]
    assert {record.status for record in records} == {"pruned"}
    assert {record.error for record in records} == {None}
    assert records[0].train_time_s == pytest.approx(0.75)
    assert f"the adapter of trial {trials[1].id} is not saved: lost" in caplog.text
    assert f"the adapter of trial {trials[2].id} is not saved: no room" in caplog.text
    assert numbers(folder, study) == [1, 2]


def test_a_sweep_that_lacks_nothing_but_an_adapter_goes_on(sweep, folder, trials, monkeypatch):
    driver = SweepDriver(folder, sweep, "rows")
    for trial in trials:
        told = optuna.trial.create_trial(value=1.0, user_attrs={TRIAL_ID: trial.id})
        driver._study.add_trial(told)
        trial.adapter.mkdir()
    monkeypatch.setattr(SweepDriver, "_has_trials", False)
    monkeypatch.setattr("sweeper.execution.after.Finalists.jobs", lambda _: [])
    for name in ("clone_final_jobs", "final_jobs"):
        monkeypatch.setattr(f"sweeper.execution.driver.{name}", lambda *_: [])
    assert not driver._prepare()
    assert {trial.read().status for trial in trials} == {"pruned"}
    trials[0].adapter.rmdir()
    assert driver._prepare()
