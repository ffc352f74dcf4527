"""What is suggested, what Optuna is told, and what survives the driver; without a cluster."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

from sweeper.execution.pool.jobs import Job
from sweeper.execution.tune import EVALUATION, IS_FINAL, StudySearch, scheduler_for
from sweeper.experiment.space.distributions import Choice, Grid, IntRange, LogUniform
from sweeper.experiment.space.space import Axis, MethodSpace, Point, Space
from sweeper.experiment.sweep import AshaSpec, ObjectiveSpec, SearchSpec
from sweeper.search.study import draw, enqueue_failed, is_retried, open_study, preview

OBJECTIVE = ObjectiveSpec(metric="eval_loss", mode="min")
SEARCH = SearchSpec(trials=8, startup_trials=3, seed=5)

RATE = Axis("train.learning_rate", ("train", "learning_rate"), LogUniform(loguniform=(1e-4, 1e-2)))
MASA = MethodSpace(
    "masa",
    {"method": {"name": "masa"}},
    (Axis("masa.experts", ("method", "experts"), IntRange(int=(2, 6))), RATE),
)
LORA = MethodSpace(
    "lora",
    {"method": {"name": "lora"}},
    (Axis("lora.rank", ("method", "rank"), Choice(choice=(4, 8))), RATE),
)
BASELINE: Point = {"method": "masa", "masa.experts": 5}
SPACE = Space((MASA, LORA), (BASELINE,))


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def study_at(storage: str) -> optuna.Study:
    return open_study(storage, name="s", objective=OBJECTIVE, space=SPACE, search=SEARCH)


def search_on(study: optuna.Study) -> StudySearch:
    def make_job(point: Point, number: int) -> Job:
        identity = "-".join(str(value) for value in point.values())
        return Job(identity, number, Path("unused"), (1, 2, 3), "{}")

    return StudySearch(
        study,
        space=SPACE,
        search=SEARCH,
        objective=OBJECTIVE,
        make_job=make_job,
        pool_name="pool",
    )


def result(evaluation: int, loss: float, *, is_final: bool = False) -> dict[str, object]:
    return {EVALUATION: evaluation, "eval_loss": loss, IS_FINAL: is_final}


def test_a_method_brings_its_own_parameters_only(storage: str) -> None:
    study = study_at(storage)
    for _ in range(SEARCH.trials):
        _, point = draw(study, SPACE, SEARCH)
        own = {"masa": "masa.experts", "lora": "lora.rank"}
        assert set(point) == {"method", own[str(point["method"])], "train.learning_rate"}


def test_baselines_come_first_and_what_they_leave_out_is_drawn(storage: str) -> None:
    _, point = draw(study_at(storage), SPACE, SEARCH)
    assert point.items() >= BASELINE.items()
    assert 1e-4 <= float(point["train.learning_rate"]) <= 1e-2


def test_opening_a_study_again_enqueues_nothing_twice(storage: str) -> None:
    study_at(storage)
    assert len(study_at(storage).get_trials()) == 1


def test_the_plan_tells_the_first_trials_of_the_run(storage: str) -> None:
    study = study_at(storage)
    planned = [point for point, is_certain in preview(SPACE, SEARCH) if is_certain]
    assert len(planned) == SEARCH.startup_trials
    assert planned == [draw(study, SPACE, SEARCH)[1] for _ in planned]


def test_an_interrupted_study_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    def run(storage: str, *, stop_after: int) -> list[Point]:
        points = []
        study = study_at(storage)
        for number in range(SEARCH.trials):
            if number == stop_after:
                study = study_at(storage)
            trial, point = draw(study, SPACE, SEARCH)
            study.tell(trial, float(point["train.learning_rate"]))
            points.append(point)
        return points

    whole = run(f"sqlite:///{tmp_path / 'a.db'}", stop_after=99)
    interrupted = run(f"sqlite:///{tmp_path / 'b.db'}", stop_after=5)
    assert whole == interrupted
    assert len({point["train.learning_rate"] for point in whole}) == SEARCH.trials


def test_a_stopped_trial_is_told_as_pruned_with_its_values(storage: str) -> None:
    study = study_at(storage)
    search = search_on(study)
    search.suggest("tune-1")
    search.on_trial_result("tune-1", result(1, 3.0))
    search.on_trial_complete("tune-1", result(2, 2.5))
    (trial,) = study.get_trials(states=[TrialState.PRUNED])
    assert trial.intermediate_values == {1: 3.0, 2: 2.5}


def test_a_complete_trial_is_told_with_its_last_value(storage: str) -> None:
    study = study_at(storage)
    search = search_on(study)
    search.suggest("tune-1")
    search.on_trial_result("tune-1", result(1, 3.0))
    search.on_trial_complete("tune-1", result(2, 2.5, is_final=True))
    (trial,) = study.get_trials(states=[TrialState.COMPLETE])
    assert trial.value == 2.5


def test_a_failed_trial_is_told_as_failed_and_can_be_retried(storage: str) -> None:
    study = study_at(storage)
    search = search_on(study)
    config = search.suggest("tune-1")
    assert config is not None
    search.on_trial_complete("tune-1", None, error=True)
    (failed,) = study.get_trials(states=[TrialState.FAIL])
    assert enqueue_failed(study) == [config["job"].trial_id]
    assert is_retried(study, failed)
    assert enqueue_failed(study) == []
    again = search.suggest("tune-2")
    assert again is not None
    assert again["job"].trial_id == config["job"].trial_id


def test_what_a_dead_driver_left_running_is_suggested_again_first(storage: str) -> None:
    first = search_on(study_at(storage))
    left = [first.suggest(f"tune-{number}") for number in range(2)]
    first.on_trial_result("tune-0", result(1, 3.0))

    study = study_at(storage)
    second = search_on(study)
    taken_up = [second.suggest(f"again-{number}") for number in range(3)]
    jobs = [config["job"].trial_id for config in (*left, *taken_up) if config]
    assert jobs[2:4] == jobs[:2]
    assert jobs[4] not in jobs[:4]
    # A value that Optuna has is not told a second time.
    second.on_trial_result("again-0", result(1, 3.0))
    second.on_trial_complete("again-0", result(2, 2.0, is_final=True))
    (trial,) = study.get_trials(states=[TrialState.COMPLETE])
    assert trial.intermediate_values == {1: 3.0, 2: 2.0}


def test_a_grid_takes_its_values_in_turn(storage: str) -> None:
    grid = Axis("masa.sharing", ("method", "sharing"), Grid(grid=("a", "b", "both")))
    space = Space((MethodSpace("masa", {}, (grid, RATE)),))
    points = [point for point, _ in preview(space, SEARCH)]
    assert [point["masa.sharing"] for point in points] == [*("a", "b", "both") * 2, "a", "b"]


def test_rungs_are_filled_with_what_ended_before_a_resume() -> None:
    asha = AshaSpec(grace=1, reduction=2)
    past = [[1.0, 0.9, 0.8, 0.7], [5.0], [6.0], [7.0]]
    scheduler = scheduler_for(asha, objective=OBJECTIVE, evaluations=4, past=past)
    assert isinstance(scheduler, AsyncHyperBandScheduler)

    trial: Any = SimpleNamespace(trial_id="new")
    tune: Any = None
    scheduler.on_trial_add(tune, trial)
    assert scheduler.on_trial_result(tune, trial, result(1, 6.5)) == "STOP"
    fresh = scheduler_for(asha, objective=OBJECTIVE, evaluations=4)
    fresh.on_trial_add(tune, trial)
    assert fresh.on_trial_result(tune, trial, result(1, 6.5)) == "CONTINUE"


def test_without_asha_nothing_is_stopped() -> None:
    assert isinstance(scheduler_for(None, objective=OBJECTIVE, evaluations=4), FIFOScheduler)
    late = AshaSpec(grace=4)
    assert isinstance(scheduler_for(late, objective=OBJECTIVE, evaluations=4), FIFOScheduler)
