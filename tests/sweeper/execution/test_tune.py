"""What Tune's searcher and scheduler make of our decisions; without a cluster."""

from __future__ import annotations

import importlib
import logging
import sys
import uuid
from collections.abc import Container, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from ray.exceptions import RayActorError
from ray.tune import TuneError
from ray.tune.schedulers import FIFOScheduler

from sweeper.errors import PoolLostError, TrialError, UnwritableError
from sweeper.execution.pool import Job, Message
from sweeper.execution.stopping import StoppingScheduler
from sweeper.execution.tune import (
    EVALUATION,
    IS_FINAL,
    StudySearch,
    ThinTrial,
    run_tune,
)
from sweeper.experiment.sweep import AshaSpec
from sweeper.search import Rungs, Suggestion, using_study
from sweeper.search.driving.attributes import is_retried
from sweeper.search.study import enqueue_failed
from sweeper.tracking.databases import StudyPlace
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from tests.sweeper.search.two_methods import OBJECTIVE, study_in, suggestions_of, without_writing


def search_on(
    study: optuna.Study,
    released: list[str] | None = None,
    *,
    stopped: Container[str] = (),
    compared_at: int = 3,
) -> StudySearch:
    def make_job(suggestion: Suggestion) -> Job:
        return Job(suggestion.trial_id, suggestion.number, Path("unused"), (1, 2, 3), "{}")

    return StudySearch(
        suggestions_of(study),
        objective=OBJECTIVE,
        make_job=make_job,
        release=(released if released is not None else []).append,
        pool_name="pool",
        is_stopped=lambda trial_id: trial_id in stopped,
        compared_at=compared_at,
    )


def config_of(search: StudySearch, trial_id: str) -> dict[str, Any]:
    config = search.suggest(trial_id)
    assert isinstance(config, dict)
    return config


def test_what_is_not_admitted_waits_and_is_asked_again(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []
    answers = iter([True, False, False, True, False])

    def admits(trial_id: str, before: Sequence[str]) -> bool:
        asked.append((trial_id, len(before)))
        return next(answers)

    search = search_on(study_in(tmp_path))
    search._admits = admits
    config_of(search, "tune-1")
    # One is in training, which may end sooner than thought.
    assert search.suggest("tune-2") is None
    assert search.suggest("tune-2") is None
    config_of(search, "tune-2")
    for trial in ("tune-1", "tune-2"):
        search.on_trial_complete(trial, result(1, 2.0))
    assert search.suggest("tune-3") == "FINISHED"
    names = [name for name, _ in asked]
    assert names[1] == names[2] == names[3]
    assert [before for _, before in asked] == [0, 1, 1, 1, 0]
    # The held one is drawn: a resume begins with it.
    assert [t.state.name for t in search._suggestions._study.get_trials()][2] == "RUNNING"


def result(evaluation: int, loss: float, *, is_final: bool = False) -> dict[str, object]:
    return {EVALUATION: evaluation, "eval_loss": loss, IS_FINAL: is_final}


def test_a_suggestion_names_the_job_the_pool_and_the_metric(tmp_path: Path) -> None:
    search = search_on(study_in(tmp_path))
    config = config_of(search, "tune-1")
    assert (config["job"].number, config["pool"], config["metric"]) == (0, "pool", "eval_loss")


def test_a_stopped_trial_is_told_as_pruned_with_its_values(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    search = search_on(study)
    search.suggest("tune-1")
    search.on_trial_result("tune-1", result(1, 3.0))
    search.on_trial_complete("tune-1", result(2, 2.5))
    (trial,) = study.get_trials(states=[TrialState.PRUNED])
    assert trial.intermediate_values == {1: 3.0, 2: 2.5}


def test_a_complete_trial_is_told_with_its_last_value(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    search = search_on(study)
    search.suggest("tune-1")
    search.on_trial_result("tune-1", result(1, 3.0))
    search.on_trial_complete("tune-1", result(2, 2.5, is_final=True))
    (trial,) = study.get_trials(states=[TrialState.COMPLETE])
    assert trial.value == 2.5


def test_a_failed_trial_is_told_as_failed_and_can_be_retried(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    search = search_on(study)
    config = config_of(search, "tune-1")
    search.on_trial_complete("tune-1", None, error=True)
    (failed,) = study.get_trials(states=[TrialState.FAIL])
    assert enqueue_failed(study) == [config["job"].trial_id]
    assert is_retried(failed, study.user_attrs)
    assert enqueue_failed(study) == []
    again = config_of(search_on(study), "tune-2")
    assert again["job"].trial_id == config["job"].trial_id


def test_a_trial_that_its_owner_stopped_without_a_value_is_not_retried(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    stopped: list[str] = []
    search = search_on(study, stopped=stopped)
    stopped.append(config_of(search, "tune-1")["job"].trial_id)
    search.on_trial_complete("tune-1", None, error=True)
    assert [trial.state for trial in study.get_trials()] == [TrialState.PRUNED]
    assert enqueue_failed(study) == []
    # The sampler goes on with such a trial in its study.
    assert config_of(search_on(study), "tune-2")["job"].trial_id not in stopped


def test_a_trial_whose_thin_half_failed_is_stopped_in_the_pool(tmp_path: Path) -> None:
    released: list[str] = []
    search = search_on(study_in(tmp_path), released)
    for name in ("tune-1", "tune-2"):
        config = config_of(search, name)
    search.on_trial_complete("tune-1", result(1, 2.0, is_final=True))
    search.on_trial_complete("tune-2", None, error=True)
    assert released == [config["job"].trial_id]


def test_a_trial_whose_pool_has_died_has_not_failed_and_no_other_is_begun(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    search = search_on(study)

    def gone(trial_id: str) -> None:
        raise PoolLostError(f"no pool for {trial_id}")

    search._release = gone
    config = config_of(search, "tune-1")
    search.on_trial_complete("tune-1", None, error=True)
    with pytest.raises(PoolLostError, match="no pool"):
        search.suggest("tune-2")
    assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING]
    again = config_of(search_on(study_in(tmp_path)), "again")
    assert again["job"].trial_id == config["job"].trial_id


def test_an_end_that_tune_tells_twice_counts_once(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    search = search_on(study)
    search.suggest("tune-1")
    search.on_trial_complete("tune-1", None, error=True)
    search.on_trial_complete("tune-1", result(1, 2.0, is_final=True))
    assert [trial.state for trial in study.get_trials()] == [TrialState.FAIL]


def test_a_study_without_writing_stops_the_search_with_its_own_word(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    search = search_on(study)
    search.suggest("tune-1")
    search.suggest("tune-2")
    with without_writing(study, tmp_path / "optuna.db"):
        # Tune would take it for the trial's own failure, and go on.
        search.on_trial_complete("tune-1", result(1, 2.0, is_final=True))
    assert isinstance(search.failure, StorageInternalError)
    for ask in (
        lambda: search.suggest("tune-3"),
        lambda: search.on_trial_result("tune-2", result(1, 2.0)),
    ):
        with pytest.raises(StorageInternalError):
            ask()
    # Nothing is known of the end, and the trial is taken up again.
    assert config_of(search_on(study_in(tmp_path)), "again")["job"].number == 0


def test_what_an_intermediate_value_raises_is_kept(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    search = search_on(study)
    search.suggest("tune-1")
    with (
        without_writing(study, tmp_path / "optuna.db"),
        pytest.raises(StorageInternalError) as told,
    ):
        search.on_trial_result("tune-1", result(1, 2.0))
    assert search.failure is told.value


class StoppedTuner:
    """A Tuner that makes a text of what the search raises, as Tune's controller does."""

    def __init__(self, trainable: object, *, tune_config: Any, run_config: object) -> None:
        self._search = tune_config.search_alg

    def fit(self) -> None:
        try:
            self._search.suggest("tune-2")
        except StorageInternalError as error:
            raise TuneError(str(error)) from error


def test_what_the_study_has_raised_comes_out_of_tune(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sweeper.execution.tune.tune.Tuner", StoppedTuner)
    study = study_in(tmp_path)
    search, path = search_on(study), tmp_path / "optuna.db"
    search.suggest("tune-1")
    settings: dict[str, Any] = {"trials": 2, "concurrent": 1, "resources": {}, "folder": tmp_path}
    with without_writing(study, path):
        search.on_trial_complete("tune-1", None, error=True)
    with (
        pytest.raises(UnwritableError, match="attempt to write a readonly database"),
        using_study(StudyPlace("s", path)),
    ):
        run_tune(search, scheduler([], None), **settings)


class StoppedError(Exception):
    """Ends Tune before it begins."""


def test_a_failed_trial_has_no_traceback_in_tunes_log(tmp_path, monkeypatch, caplog) -> None:
    def stopped(*_args: Any, **_options: Any) -> None:
        raise StoppedError

    # `run_tune` sets up the log before anything else.
    monkeypatch.setattr("sweeper.execution.tune.tune.Tuner", stopped)
    search: Any = SimpleNamespace(failure=None)
    for _ in range(2):
        with pytest.raises(StoppedError):
            run_tune(search, FIFOScheduler(), trials=1, concurrent=1, resources={}, folder=tmp_path)
    controller = logging.getLogger("ray.tune.execution.tune_controller")
    controller.addHandler(caplog.handler)
    try:
        controller.error("Trial task failed for trial x", exc_info=TrialError("bad rank"))
        controller.error("Trial task failed for trial z", exc_info=RayActorError())
        controller.error("Trial task failed for trial y", exc_info=RuntimeError("no actor"))
    finally:
        controller.removeHandler(caplog.handler)
    assert {entry.message for entry in caplog.records} == {"Trial task failed for trial y"}
    end = logging.getLogger("ray.tune.tune")
    assert not end.filter(end.makeRecord("x", 40, "", 0, "Trials did not complete: %s", (), None))
    assert end.filter(end.makeRecord("x", 40, "", 0, "something else", (), None))
    # What Tune keeps of the search nobody reads, so that nobody needs to hear of a full disk twice.
    state = importlib.import_module("ray.tune.execution.experiment_state").logger
    assert not state.isEnabledFor(logging.ERROR)
    # Ray's own words.
    source = Path(str(sys.modules["ray.tune.tune"].__file__)).read_text()
    assert 'logger.error("Trials did not complete: %s"' in source


def test_what_a_dead_driver_left_running_is_suggested_again_first(tmp_path: Path) -> None:
    first = search_on(study_in(tmp_path))
    left = [config_of(first, f"tune-{number}") for number in range(2)]
    first.on_trial_result("tune-0", result(1, 3.0))

    study = study_in(tmp_path)
    second = search_on(study)
    taken_up = [config_of(second, f"again-{number}") for number in range(3)]
    jobs = [config["job"].trial_id for config in (*left, *taken_up)]
    assert jobs[2:4] == jobs[:2]
    assert jobs[4] not in jobs[:4]
    # A value that Optuna has is not told a second time.
    second.on_trial_result("again-0", result(1, 3.0))
    second.on_trial_complete("again-0", result(2, 2.0, is_final=True))
    (trial,) = study.get_trials(states=[TrialState.COMPLETE])
    assert trial.intermediate_values == {1: 3.0, 2: 2.0}


class Pool:
    """A pool that says what it is told to say, without an actor."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)
        self.submitted: list[Job] = []
        self.stopped: list[str] = []
        self.submit = SimpleNamespace(remote=self.submitted.append)
        self.stop = SimpleNamespace(remote=self.stopped.append)
        self.next_message = SimpleNamespace(remote=lambda _: self._messages.pop(0))


def thin_trial(trial: TrialFolder, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> ThinTrial:
    local = SimpleNamespace(get_actor=lambda _: pool, get=lambda value: value)
    monkeypatch.setattr("sweeper.execution.tune.ray", local)
    made = ThinTrial.__new__(ThinTrial)
    job = Job(trial.id, 0, trial.path, (2, 4), "{}")
    made.setup({"pool": "pool", "job": job, "metric": "eval_loss"})
    return made


def heard_of(made: ThinTrial) -> list[tuple[object, ...]]:
    """Evaluation, value, and whether it is the last one of a whole trial, of each result."""
    found: list[tuple[object, ...]] = []
    while True:
        one = made.step()
        found.append((one.get(EVALUATION), one.get("eval_loss"), one.get(IS_FINAL)))
        if one["done"]:
            return found


@pytest.fixture
def trial(tmp_path: Path) -> TrialFolder:
    sweep = SweepFolder.create(tmp_path, "one", document={})
    return sweep.add_trial("a" * 12, spec={}, number=0, method="lora")


def test_a_trial_that_is_complete_is_told_from_its_record(trial, monkeypatch) -> None:
    for step in (2, 4):
        trial.append(step, {"eval_loss": float(step)})
    trial.complete()
    whole: list[tuple[object, ...]] = [(1, 2.0, False), (2, 4.0, True)]
    assert heard_of(thin_trial(trial, Pool(), monkeypatch)) == whole
    # Another step than the trial has, and a cut one: an early value is not taken for the last.
    lines = trial.metrics_path.read_text().splitlines()
    trial.metrics_path.write_text("\n".join([lines[0], lines[0].replace("2", "3"), lines[1][:9]]))
    assert heard_of(thin_trial(trial, Pool(), monkeypatch)) == whole
    trial.metrics_path.unlink()
    assert heard_of(thin_trial(trial, Pool(), monkeypatch)) == [(2, 4.0, True)]


@pytest.mark.parametrize("evaluations", [0, 1])
def test_a_trial_that_was_pruned_is_not_a_failed_one(trial, monkeypatch, evaluations) -> None:
    evaluation: tuple[object, ...] = (1, 2.0, False)
    told = [evaluation] * evaluations
    for _ in told:
        trial.append(2, {"eval_loss": 2.0})
    trial.prune()
    pool = Pool()
    made = thin_trial(trial, pool, monkeypatch)
    if told:
        assert heard_of(made) == told
    else:
        with pytest.raises(TrialError, match="pruned without a last value of eval_loss"):
            made.step()
    made.cleanup()
    assert (pool.submitted, pool.stopped) == ([], [])


def test_a_trial_that_failed_fails_again(trial, monkeypatch) -> None:
    trial.append(2, {"eval_loss": 2.0})
    trial.fail("DivergedError", "no number")
    with pytest.raises(TrialError, match="its record says why"):
        heard_of(thin_trial(trial, Pool(), monkeypatch))


REPORT = Message("report", step=2, metrics={"eval_loss": 2.0})


def test_the_end_of_a_whole_trial_comes_with_its_last_value(trial, monkeypatch) -> None:
    end = Message("end", step=4, status="complete", metrics={"eval_loss": 1.0})
    pool = Pool(REPORT, REPORT, end)
    made = thin_trial(trial, pool, monkeypatch)
    assert heard_of(made) == [(1, 2.0, False), (2, 1.0, True)]
    made.cleanup()
    assert [job.trial_id for job in pool.submitted] == [trial.id]
    assert pool.stopped == []


def test_the_end_of_a_trial_whose_patience_is_over_is_that_of_a_whole_one(trial, monkeypatch):
    end = Message("end", step=2, status="complete", metrics={"eval_loss": 2.0})
    # Its last evaluation is not reported besides, and is not its last one by number.
    assert heard_of(thin_trial(trial, Pool(end), monkeypatch)) == [(1, 2.0, True)]
    trial.append(2, {"eval_loss": 2.0})
    trial.complete(ended_by="patience")
    assert heard_of(thin_trial(trial, Pool(), monkeypatch)) == [(1, 2.0, True)]


def test_a_trial_that_a_callback_ended_is_told_as_pruned(trial, monkeypatch) -> None:
    end = Message("end", status="pruned", metrics={"eval_loss": 2.0})
    made = thin_trial(trial, Pool(REPORT, end), monkeypatch)
    # Its values are those of the evaluation that was told.
    assert heard_of(made) == [(1, 2.0, False), (1, 2.0, False)]
    early = thin_trial(trial, Pool(end), monkeypatch)
    with pytest.raises(TrialError, match="pruned without a last value of eval_loss"):
        early.step()


@pytest.mark.parametrize(
    "end",
    [
        Message("end", status="pruned", metrics={"loss": 2.0}),
        Message("end", status="pruned", is_recorded=False),
        Message("end", status="complete", metrics={"loss": 2.0}),
    ],
)
def test_no_result_without_the_objective_reaches_tune(trial, monkeypatch, end) -> None:
    made = thin_trial(trial, Pool(REPORT, end), monkeypatch)
    made.step()
    with pytest.raises(TrialError, match=f"{end.status} without a last value of eval_loss"):
        made.step()


def test_an_actor_that_is_dropped_before_its_first_step_stops_nothing(trial, monkeypatch) -> None:
    # While an actor starts, Tune may give its trial to another one, and end the first.
    pool = Pool(REPORT)
    dropped = thin_trial(trial, pool, monkeypatch)
    follows = thin_trial(trial, pool, monkeypatch)
    assert follows.step()["eval_loss"] == 2.0
    dropped.cleanup()
    assert (len(pool.submitted), pool.stopped) == (1, [])
    follows.cleanup()
    assert pool.stopped == [trial.id]


def scheduler(past: list[list[float]], asha: AshaSpec | None) -> StoppingScheduler:
    rungs = Rungs(asha, mode=OBJECTIVE.mode, evaluations=4)
    rungs.fill(past)
    return StoppingScheduler(rungs, metric=OBJECTIVE.metric)


def trial_of_tune(trial_id: str) -> Any:
    """Tune's trial, which has another identity at each run of a driver."""
    job = Job(trial_id, 0, Path(), (), "{}")
    return SimpleNamespace(trial_id=uuid.uuid4().hex, config={"job": job})


def heard(scheduler: StoppingScheduler, trial_id: str, told: dict[str, Any]) -> str:
    tune: Any = None
    return scheduler.on_trial_result(tune, trial_of_tune(trial_id), told)


def test_rungs_are_filled_with_what_ended_before_a_resume() -> None:
    asha = AshaSpec(grace=1, reduction=2)
    past = [[1.0, 0.9, 0.8, 0.7], [5.0], [6.0], [7.0]]
    assert heard(scheduler(past, asha), "new", result(1, 6.5)) == "STOP"
    assert heard(scheduler([], asha), "new", result(1, 6.5)) == "CONTINUE"


def test_without_asha_nothing_is_stopped() -> None:
    past = [[1.0, 0.9, 0.8, 0.7]] * 3
    for asha in (None, AshaSpec(grace=4)):
        assert heard(scheduler(past, asha), "new", result(4, 9.0)) == "CONTINUE"


def test_the_last_result_of_a_trial_stands_on_its_rung_too() -> None:
    tune: Any = None
    asha = AshaSpec(grace=1, reduction=2)
    asked = scheduler([], asha)
    asked.on_trial_complete(tune, trial_of_tune("pruned-before"), {**result(1, 1.0), "done": True})
    assert heard(asked, "new", result(1, 2.0)) == "STOP"
