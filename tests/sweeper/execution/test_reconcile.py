"""What a driver makes of what a dead one left behind."""

import logging
import shutil

import pytest
from optuna.trial import TrialState

from sweeper.analysis.ranking import rank_sweep
from sweeper.execution.after.final_jobs import final_jobs
from sweeper.execution.reconcile import (
    end_unwritten,
    ended_for_good,
    reconcile,
    repeat_lost,
    requeue_failed,
    set_damage_aside,
    warn_of_other_data,
)
from sweeper.execution.trial_factory import TrialFactory
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import FinalSpec
from sweeper.search import (
    TRIAL_ID,
    Suggestion,
    Suggestions,
    open_study,
    preview,
    states_by_id,
    trials_left,
)
from sweeper.tracking.databases import StudyPlace
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import RECORD_FILE
from tests.places import SPACES
from tests.sweeper.opened import count_opened

SPACE = SPACES / "masa.yaml"


@pytest.fixture
def sweep():
    return load_sweep(SPACE, profile="embedded")


@pytest.fixture
def folder(sweep, tmp_path):
    return SweepFolder.create(tmp_path, "sweep-1", document=sweep.document)


@pytest.fixture
def study(sweep, folder):
    spec = sweep.spec
    return open_study(
        StudyPlace(folder.name, folder.path / "optuna.db"),
        objective=spec.objective,
        space=sweep.space,
        search=spec.search,
    )


def suggestions_of(study, sweep, trials):
    space, search = sweep.space, sweep.spec.search
    return Suggestions(study, space=space, search=search, identify=trials.identify)


@pytest.fixture
def begin(sweep, folder, study):
    """Suggests a trial and begins its record; returns the record's folder."""
    trials = TrialFactory(folder, sweep, "rows")
    suggestions = suggestions_of(study, sweep, trials)

    def begun():
        trial = folder.trial(trials.job(suggestions.next()).trial_id)
        trial.begin()
        return trial

    return begun


def test_trials_of_other_rows_are_told(sweep, folder, caplog):
    point, _ = next(iter(preview(sweep.space, sweep.spec.search)))
    with caplog.at_level(logging.WARNING):
        warn_of_other_data(folder, "before")
        trials = TrialFactory(folder, sweep, "before")
        job = trials.job(Suggestion(0, point, trials.identify(point)))
        warn_of_other_data(folder, "before")
        assert caplog.text == ""
        warn_of_other_data(folder, "after")
    assert f"1 of 1 trials of sweep-1, such as {job.trial_id}, saw other rows" in caplog.text


def test_an_end_that_only_the_study_knows_is_written(folder, study, begin):
    pruned, failed, running = begin(), begin(), begin()
    study.tell(0, state=TrialState.PRUNED)
    study.tell(1, state=TrialState.FAIL)
    end_unwritten(folder, study)
    assert pruned.read().status == "pruned"
    assert failed.read().status == "failed"
    assert failed.read().error.type == "ReplicaLost"
    assert running.read().status == "queued"


def test_an_end_that_was_written_stays(folder, study, begin):
    failed = begin()
    failed.fail("DivergedError", "the loss is not a number")
    study.tell(0, state=TrialState.FAIL)
    before = failed.read()
    end_unwritten(folder, study)
    assert failed.read() == before


def test_failed_trials_wait_again_and_others_stay(folder, study, begin):
    failed, whole = begin(), begin()
    failed.fail("DivergedError", "the loss is not a number")
    whole.complete()
    study.tell(0, state=TrialState.FAIL)
    study.tell(1, 1.0)
    requeue_failed(folder, study)
    assert failed.read().status == "queued"
    assert whole.read().status == "complete"
    assert [trial.state for trial in study.get_trials()][2:] == [TrialState.WAITING]


def test_a_failed_trial_waits_again_whose_driver_died_before_it_told_the_study(
    sweep, folder, study, begin
):
    failed = begin()
    failed.fail("OSError", "no space left on device")
    # The study has it as running.
    end_unwritten(folder, study)
    assert failed.read().status == "failed"
    requeue_failed(folder, study)
    assert failed.read().status == "queued"
    assert study.trials[0].state == TrialState.RUNNING
    trials = TrialFactory(folder, sweep, "rows")
    assert trials.job(suggestions_of(study, sweep, trials).next()).trial_id == failed.id


def test_a_failed_trial_waits_again_whose_driver_died_while_it_enqueued_it(
    sweep, folder, study, begin, monkeypatch
):
    failed = begin()
    failed.fail("OSError", "no space left on device")
    study.tell(0, state=TrialState.FAIL)
    # It dies right after the study has the trial once more.
    monkeypatch.setattr(type(study), "set_user_attr", die)
    with pytest.raises(KeyboardInterrupt):
        requeue_failed(folder, study)
    monkeypatch.undo()
    assert failed.read().status == "failed"
    end_unwritten(folder, study)
    assert failed.read().status == "queued"
    requeue_failed(folder, study)
    again = [trial for trial in study.trials if trial.user_attrs.get("trial_id") == failed.id]
    assert [trial.state for trial in again] == [TrialState.FAIL, TrialState.WAITING]
    assert trials_left(study, sweep.spec.search) == sweep.spec.search.trials


def die(*_):
    raise KeyboardInterrupt


def test_a_trial_taken_up_on_other_rows_supersedes_the_old_one(sweep, folder, study, begin):
    left, failed = begin(), begin()
    failed.fail("DivergedError", "the loss is not a number")
    study.tell(1, state=TrialState.FAIL)
    requeue_failed(folder, study)
    trials = TrialFactory(folder, sweep, "other rows")
    suggestions = suggestions_of(study, sweep, trials)
    again = [trials.job(suggestions.next()).trial_id for _ in range(2)]
    end_unwritten(folder, study)
    old = [left.read(), failed.read()]
    assert [record.status for record in old] == ["superseded", "superseded"]
    assert [record.superseded_by for record in old] == again
    assert rank_sweep(folder).counts() == {"queued": 2, "superseded": 2}


@pytest.mark.parametrize("name", ["record.json", "spec.json"])
@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED])
def test_a_trial_whose_files_are_damaged_is_done_again(
    sweep, folder, study, begin, caplog, name, state
):
    damaged, whole = begin(), begin()
    damaged.append(4, {"eval_loss": 2.0})
    for number, trial in enumerate((damaged, whole)):
        trial.complete() if state == TrialState.COMPLETE else trial.prune()
        study.tell(number, *([1.0] if state == TrialState.COMPLETE else []), state=state)
    left = trials_left(study, sweep.spec.search)
    (damaged.path / name).write_bytes(b"")
    warn_of_other_data(folder, "rows")
    set_damage_aside(folder)
    end_unwritten(folder, study)
    repeat_lost(folder, study)
    assert f"{damaged.path / name} is damaged" in caplog.text
    if (name, state) == ("record.json", TrialState.PRUNED):
        # The study says how it ended, and the rest is in its metrics.
        assert damaged.read().status == "pruned"
        assert trials_left(study, sweep.spec.search) == left
        return
    assert trials_left(study, sweep.spec.search) == left + 1
    trials = TrialFactory(folder, sweep, "rows")
    again = trials.job(suggestions_of(study, sweep, trials).next())
    assert again.trial_id == damaged.id
    assert folder.trial(damaged.id).read().metrics == {"eval_loss": 2.0}
    assert whole.read().is_final
    repeat_lost(folder, study)
    assert trials_left(study, sweep.spec.search) == left + 1


def test_a_trial_whose_folder_was_removed_stays_removed(sweep, folder, study, begin):
    gone = begin()
    gone.complete()
    study.tell(0, 1.0)
    shutil.rmtree(gone.path)
    repeat_lost(folder, study)
    assert trials_left(study, sweep.spec.search) == sweep.spec.search.trials - 1


def test_a_trial_that_only_a_shared_study_knows_is_done_again(sweep, folder, study, begin):
    gone, there = begin(), begin()
    for number, trial in enumerate((gone, there)):
        trial.complete()
        study.tell(number, 1.0)
    # The machine has died before the trial's folder was put to the sweep's URL.
    shutil.rmtree(gone.path)
    repeat_lost(folder, study, is_ahead=True)
    assert trials_left(study, sweep.spec.search) == sweep.spec.search.trials - 1
    trials = TrialFactory(folder, sweep, "rows")
    assert trials.job(suggestions_of(study, sweep, trials).next()).trial_id == gone.id


def test_a_finalist_is_not_taken_for_lost_and_goes_on_after_it_failed(begin, folder, study):
    trial = begin()
    # It has ended in the study where trials are compared.
    study.tell(0, 1.0)
    trial.prune()
    trial.promote()
    trial.begin()
    end_unwritten(folder, study)
    repeat_lost(folder, study)
    assert trial.read().status == "queued"
    assert not [x for x in study.get_trials() if x.number > 0 and TRIAL_ID in x.user_attrs]
    trial.begin()
    trial.fail("OSError", "the disk is full")
    requeue_failed(folder, study)
    assert (trial.read().status, trial.read().is_finalist) == ("queued", True)


def test_one_that_was_stopped_at_a_share_and_lost_its_record_is_run_again(begin, folder, study):
    trial = begin()
    study.tell(0, 1.0)
    (trial.path / RECORD_FILE).unlink()
    repeat_lost(folder, study)
    assert [x.user_attrs[TRIAL_ID] for x in study.get_trials(states=[TrialState.WAITING])[-1:]] == [
        trial.id
    ]


@pytest.mark.parametrize("trials", [2, 6])
def test_a_resume_reads_each_file_of_a_trial_once(sweep, folder, study, begin, monkeypatch, trials):
    for number in range(trials):
        trial = begin()
        trial.append(1, {"eval_loss": 1.0})
        trial.complete()
        study.tell(number, 1.0)
    opened = count_opened(monkeypatch)
    reconcile(SweepFolder(folder.path), study, retries_failed=False, is_ahead=False)
    names = ("spec.json", "record.json", "validation_rows.npz", "final_rows.npz")
    assert {name: opened[name] for name in names} == {
        **dict.fromkeys(names, trials),
        # The sweep has files of these names, too.
        **dict.fromkeys(names[2:], trials + 1),
    }
    opened.clear()
    jobs = final_jobs(SweepFolder(folder.path), FinalSpec(trials=1))
    assert len(jobs) == 2
    assert (opened["record.json"], opened["spec.json"]) == (trials, 1)
    assert opened["validation_rows.npz"] == 0


def test_one_whose_replica_died_at_the_share_has_ended_there(begin, folder, study):
    trial = begin()
    study.tell(0, 1.0)
    end_unwritten(folder, study, stop="share")
    assert trial.read().status == "pruned"
    # With rungs a complete one is trained to its end.
    whole = begin()
    study.tell(1, 1.0)
    end_unwritten(folder, study, stop="asha")
    assert whole.read().status == "queued"


def test_one_that_failed_when_it_was_stopped_is_retried(begin, folder, study):
    trial = begin()
    study.tell(0, 1.0)
    trial.fail("OSError", "no room for the adapter")
    reconcile(folder, study, retries_failed=True, is_ahead=False, stop="share")
    assert trial.read().status in {"queued", "pruned"}


def test_what_may_go_on_keeps_its_checkpoint_at_a_url(begin, folder, study):
    whole, stopped, gone = begin(), begin(), begin()
    for number in range(3):
        study.tell(number, 1.0)
    whole.complete()
    stopped.prune()
    shutil.rmtree(gone.path)
    states = states_by_id(study)
    assert ended_for_good(folder, states, stop="share") == [whole.id]
    assert ended_for_good(folder, states, stop="asha") == [whole.id, stopped.id, gone.id]
