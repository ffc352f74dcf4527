"""Which trials go on to their end, after all were stopped at one share; without Ray."""

import logging

import optuna
import pytest
from optuna.trial import TrialState

from sweeper.execution.after import Finalists
from sweeper.execution.pool import Message
from sweeper.experiment.loading import load_sweep
from sweeper.search import TRIAL_ID
from sweeper.tracking.trial_folder import SPEC_FILE
from tests.places import SPACES

VALUES = (3.0, 1.0, 2.0, 4.0, 5.0)


@pytest.fixture
def sweep():
    overrides = ("search.share.finalists=3",)
    return load_sweep(SPACES / "masa.yaml", profile="embedded", overrides=overrides)


@pytest.fixture
def trials(add_trials):
    """So many trials as there are values, each stopped at its first evaluation."""
    found = []
    for _, trial in add_trials(len(VALUES)):
        trial.begin()
        trial.prune()
        found.append(trial)
    return found


@pytest.fixture
def finalists(sweep, folder, trials):
    study = optuna.create_study()
    for trial, value in zip(trials, VALUES, strict=True):
        told = optuna.trial.create_trial(value=value, user_attrs={TRIAL_ID: trial.id})
        study.add_trial(told)
    return Finalists(folder, sweep.spec, study, "rows")


def numbers(finalists: Finalists) -> list[int]:
    return [job.number for job in finalists.jobs()]


def test_the_best_go_on_and_those_that_are_complete_are_done(finalists, trials):
    assert numbers(finalists) == [1, 2, 0]
    (first, *_) = finalists.jobs()
    assert (first.trial_id, first.folder) == (trials[1].id, trials[1].path)
    assert first.evaluation_steps[-1] == trials[1].trial_spec().train.steps
    assert first.data_fingerprint == "rows"
    trials[1].promote()
    trials[1].begin()
    trials[1].complete()
    assert numbers(finalists) == [2, 0]


def test_the_next_best_takes_the_place_of_one_that_failed_or_was_stopped(finalists, trials):
    for trial, end in ((trials[1], lambda x: x.fail("E", "nan")), (trials[2], lambda x: x.stop())):
        trial.promote()
        end(trial)
    assert numbers(finalists) == [0, 3, 4]


def test_one_whose_files_are_damaged_is_told_and_passed_over(finalists, trials, caplog):
    (trials[1].path / SPEC_FILE).write_text("{", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert numbers(finalists) == [2, 0, 3]
    assert f"trial {trials[1].id} does not go on" in caplog.text


def test_what_ended_without_a_value_is_no_finalist(finalists, trials):
    study = optuna.create_study()
    for trial, state in zip(trials, (TrialState.FAIL, TrialState.PRUNED), strict=False):
        told = optuna.trial.create_trial(state=state, user_attrs={TRIAL_ID: trial.id})
        study.add_trial(told)
    assert numbers(Finalists(finalists.folder, finalists.spec, study, "rows")) == []


def test_a_search_that_compares_whole_trials_has_none(finalists):
    spec = load_sweep(
        SPACES / "masa.yaml", profile="embedded", overrides=("search.stop=asha",)
    ).spec
    assert numbers(Finalists(finalists.folder, spec, finalists.study, "")) == []


def test_one_whose_rows_have_changed_is_told_and_does_not_go_on(finalists, caplog):
    other = Finalists(finalists.folder, finalists.spec, finalists.study, "other rows")
    with caplog.at_level(logging.WARNING):
        assert numbers(other) == []
    assert "its rows, its model or the program have changed" in caplog.text


def test_one_that_a_callback_has_ended_since_is_out(finalists, trials):
    trials[1].promote()
    trials[1].begin()
    trials[1].prune()
    assert numbers(finalists) == [2, 0, 3]


@pytest.fixture
def waited(monkeypatch):
    found: list[list[str]] = []
    monkeypatch.setattr(
        "sweeper.execution.after.finalists.wait_ended", lambda _, ids: found.append(list(ids))
    )
    return found


def test_those_that_are_admitted_wait_again_and_run(finalists, trials, waited, monkeypatch):
    asked: list[tuple[int, str]] = []

    def run_jobs(pool, jobs):
        for job in jobs:
            asked.append((job.number, trials[job.number].read().status))
            trials[job.number].complete()
        return [Message("end", status="complete") for _ in jobs]

    monkeypatch.setattr("sweeper.execution.after.trainings.run_jobs", run_jobs)
    finalists.run(None, admitted=lambda jobs: [job for job in jobs if job.number != 0])
    assert asked == [(1, "queued"), (2, "queued")]
    # Whoever has stopped them is done with them before.
    assert waited[0] == [trials[n].id for n in (1, 2, 0)]
    records = [trial.read() for trial in trials]
    assert [x.is_finalist for x in records] == [False, True, True, False, False]
    assert [x.status for x in records] == ["pruned", "complete", "complete", "pruned", "pruned"]


def test_where_all_fail_the_next_ones_go_on_until_none_is_left(
    finalists, trials, waited, monkeypatch
):
    asked: list[int] = []

    def run_jobs(pool, jobs):
        asked.extend(job.number for job in jobs)
        return [Message("end", status="failed", error="lost", is_recorded=False) for _ in jobs]

    monkeypatch.setattr("sweeper.execution.after.trainings.run_jobs", run_jobs)
    finalists.run(None, admitted=lambda jobs: jobs)
    assert asked == [1, 2, 0, 3, 4]
    assert {trial.read().status for trial in trials} == {"failed"}
