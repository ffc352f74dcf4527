"""The trials of a sweep in their order: who suggests each, and what is shown of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.search.draws import count_trials, draw_all, origin_of, params_of
from tests.sweeper.experiment.spaces import TRIALS, load_budget, load_list


@pytest.fixture
def list_of(tmp_path: Path) -> Callable[..., Sweep]:
    return partial(load_list, tmp_path)


@pytest.fixture
def sized(tmp_path: Path) -> Callable[..., Sweep]:
    return partial(load_budget, tmp_path)


def test_every_trial_is_drawn_once_in_its_order(list_of):
    sweep = list_of()
    drawn = draw_all(sweep)
    assert [trial.space.name for trial in drawn] == [entry["name"] for entry in TRIALS]
    assert {trial.origin for trial in drawn} == {"baseline"}
    assert [trial.spec.method.name for trial in drawn] == ["lora", "lora", "masa", "mosa", "lora"]
    assert sweep.spec.search.trials == count_trials(sweep) == 5
    # A list compares: nothing of it is stopped early.
    assert sweep.spec.search.asha is None


FEW = """
name: few
profile: embedded
methods:
  - {name: lora, rank: {choice: [4, 8]}}
train:
  learning_rate: {choice: [1e-4, 1e-3]}
"""


@pytest.mark.parametrize(
    ("overrides", "count"),
    [
        ((), 4),
        (("search.trials=3",), 3),
        (("train.learning_rate={uniform: [1e-4, 1e-3]}",), 8),
    ],
)
def test_a_small_space_has_no_more_trials_than_points(tmp_path, overrides, count):
    file = tmp_path / "few.yaml"
    file.write_text(FEW, encoding="utf-8")
    sweep = load_sweep(file, overrides=overrides)
    assert count_trials(sweep) == count
    assert len(draw_all(sweep)) == count


def test_baselines_come_before_the_search_and_examples_after_what_is_certain(sized) -> None:
    drawn = draw_all(sized())
    assert [trial.number for trial in drawn] == list(range(12))
    assert [trial.origin for trial in drawn] == ["baseline"] * 2 + ["start"] + ["search"] * 9
    # Four trials are drawn at random before the sampler looks at results.
    assert [trial.is_example for trial in drawn] == [False] * 4 + [True] * 8
    assert all(trial.space.name == trial.spec.method.name for trial in drawn)


def test_a_grid_comes_after_the_baselines(sized) -> None:
    sweep = sized(methods=[{"name": "masa", "experts": {"grid": [2, 5]}}], baselines=[{}])
    assert [origin_of(number, sweep.space) for number in range(4)] == ["baseline"] + ["grid"] * 3
    drawn = draw_all(sweep)
    assert [params_of(x.spec, x.space)["experts"] for x in drawn[1:5]] == [2, 5, 2, 5]
    # What a cell of the grid leaves out depends on results after the random start.
    assert [trial.is_example for trial in drawn] == [False] * 4 + [True] * 8


def test_parameters_are_the_methods_and_what_is_searched_of_training(sized) -> None:
    train = {"learning_rate": 1e-3, "weight_decay": {"choice": [0.5]}}
    trial = draw_all(sized(methods=[{"name": "lora"}], train=train, baselines=[]))[0]
    params = params_of(trial.spec, trial.space)
    method = trial.spec.method.parameters()
    # Also what is left out of a spec that is written.
    assert method["scaling"] == "rank"
    assert params == {**method, "learning_rate": 1e-3, "weight_decay": 0.5}


def test_parameters_of_a_listed_trial_begin_with_its_name(list_of) -> None:
    entry = {"name": "x", "method": {"name": "lora"}, "train": {"warmup_ratio": 0.5}}
    (trial,) = draw_all(list_of([entry]))
    params = params_of(trial.spec, trial.space)
    assert next(iter(params.items())) == ("trial", "x")
    assert (params["learning_rate"], params["warmup_ratio"]) == (1e-3, 0.5)
    assert "weight_decay" not in params
