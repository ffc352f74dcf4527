"""A parameter that matters is found, one that does not is not, and few trials say nothing."""

from __future__ import annotations

import random

import optuna
import pytest

from sweeper.search import importances_of, read_study
from sweeper.tracking.databases import StudyPlace


def study_of(trials, value, *, direction="minimize"):
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=3))
    study.optimize(value, n_trials=trials)
    return study


def matters(trial):
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    trial.suggest_float("useless", 0, 1)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    if kind == "b":
        trial.suggest_int("only_b", 1, 8)
    return abs(rate - 1e-3) / rate


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.mark.parametrize("sign", [1, -1])
def test_what_matters_is_shown_alone(sign):
    direction = "minimize" if sign > 0 else "maximize"
    study = study_of(60, lambda trial: sign * matters(trial), direction=direction)
    found = importances_of(study)
    assert [each.name for each in found.shown] == ["rate"]
    assert set(found.hidden) == {"useless", "kind", "only_b"}
    (rate,) = found.shown
    assert 0.5 < rate.share < 1
    assert rate.interval[0] < rate.share < rate.interval[1]
    assert found.target_quantile == 0.1
    # The same study says the same.
    assert importances_of(study) == found


def test_scores_of_pure_chance_show_nothing():
    chance = random.Random(1)

    def value(trial):
        matters(trial)
        return chance.random()

    assert importances_of(study_of(40, value)).shown == ()


def test_nothing_is_said_below_24_complete_trials_whatever_else_there_is():
    study = study_of(23, matters)
    for _ in range(5):
        study.tell(study.ask(), state=optuna.trial.TrialState.PRUNED)
    found = importances_of(study)
    assert (found.trials, found.are_enough, found.shown) == (23, False, ())
    assert found.target_quantile == pytest.approx(5 / 23)


def test_a_study_on_disk_is_read_whatever_its_name(tmp_path):
    place = StudyPlace("new name", tmp_path / "optuna.db")
    study = optuna.create_study(storage=place.address, study_name="old name")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    read = read_study(place)
    assert read is not None
    assert [trial.value for trial in read.trials] == [1.0]
    empty = StudyPlace("s", tmp_path / "empty.db")
    optuna.storages.RDBStorage(empty.address)
    assert read_study(empty) is None
