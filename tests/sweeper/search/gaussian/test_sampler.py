"""What the Gaussian process draws, as a sweep asks it."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from threadpoolctl import threadpool_info, threadpool_limits

from sweeper.experiment.documents.tree import Json
from sweeper.experiment.space.distributions import Choice, IntRange, LogUniform
from sweeper.experiment.space.space import RATE, Axis, MethodSpace, Point, Space
from sweeper.experiment.sweep import SearchSpec
from sweeper.search import Suggestions
from sweeper.search.driving.attributes import OBSERVED, REASON, STANDARD_ERROR
from sweeper.search.driving.drawing import draw
from sweeper.search.driving.samplers import sampler_for
from sweeper.search.gaussian import GaussianSampler, sampler
from sweeper.search.gaussian.process import fitted
from sweeper.search.gaussian.sampler import _standardised, _tried

RATES = Axis("train.learning_rate", RATE, LogUniform(loguniform=(1e-5, 1e-1)))
LAYERS = Axis("lora.targets", ("method", "targets"), Choice(choice=(["q"], ["q", "v"])))
EXPERTS = Axis("masa.experts", ("method", "experts"), IntRange(int=(2, 6)))
DECAY = Axis("decay", ("train", "decay"), Choice(choice=(0.0, 0.01, 1.0)))
SPACE = Space((MethodSpace("masa", {}, (EXPERTS, RATES)), MethodSpace("lora", {}, (LAYERS, RATES))))
SEARCH = SearchSpec(trials=40, seed=1)


def loss(point: Mapping[str, Json]) -> float:
    """The best is masa with four experts at a rate of 1e-3."""
    off = np.log10(float(str(point["train.learning_rate"]))) + 3
    experts = int(str(point.get("masa.experts", 4)))
    return float(1.0 + 0.2 * off**2 + 0.05 * (experts - 4) ** 2 + (point["method"] != "masa"))


def identity(point: Point) -> str:
    return "-".join(map(str, point.values()))


def searched(
    search: SearchSpec = SEARCH,
    *,
    trials: int = 20,
    told: Callable[[Point], float] = loss,
    direction: Literal["minimize", "maximize"] = "minimize",
    standard_error: float | None = 0.01,
) -> tuple[optuna.Study, list[Point]]:
    study = optuna.create_study(direction=direction)
    suggestions = Suggestions(study, space=SPACE, search=search, identify=identity)
    points = []
    for _ in range(trials):
        found = suggestions.next()
        assert found is not None
        points.append(found.point)
        suggestions.end(
            found.number,
            evaluation=1,
            value=told(found.point),
            is_complete=True,
            standard_error=standard_error,
        )
    return study, points


def regrets(points: list[Point]) -> float:
    return min(map(loss, points)) - 1.0


def test_a_bowl_of_two_methods_is_found_sooner_than_by_tpe_and_at_random():
    found = {
        name: [
            regrets(searched(SearchSpec(sampler=name, seed=seed, asha=None), trials=16)[1])
            for seed in range(6)
        ]
        for name in ("gp", "tpe", "random")
    }
    means = {name: float(np.mean(values)) for name, values in found.items()}
    assert means["gp"] < 0.5 * means["tpe"] < means["random"]


@pytest.mark.parametrize("standard_error", [0.01, None])
def test_more_may_be_better_and_errors_may_be_unknown(standard_error):
    _, points = searched(
        told=lambda point: -loss(point), direction="maximize", standard_error=standard_error
    )
    assert regrets(points) < 0.05
    assert np.mean([x["method"] == "masa" for x in points[-6:]]) > 0.5


def test_the_standard_error_of_each_value_is_kept_and_told_again_after_a_resume():
    study, _ = searched(trials=3, standard_error=0.25)
    assert [x.user_attrs[STANDARD_ERROR] for x in study.trials] == [0.25] * 3
    tpe, _ = searched(SearchSpec(stop="asha"), trials=2)
    # Another sampler does not ask.
    assert not any(STANDARD_ERROR in x.user_attrs for x in tpe.trials)


def test_the_start_is_random_and_a_draw_repeats_itself():
    first, again = searched(trials=12)[1], searched(trials=12)[1]
    assert first == again
    other = searched(trials=12, told=lambda point: 3.0 - loss(point) / 4)[1]
    assert other[:4] == first[:4]
    assert other != first
    random = searched(SearchSpec(seed=1, sampler="random"), trials=4)[1]
    assert random == first[:4]


def drawn(study: optuna.Study, given: Mapping[str, Any] | None = None) -> Point:
    if given is not None:
        study.enqueue_trial(dict(given), skip_if_exists=False)
    return draw(study, SPACE, SEARCH)[1]


def test_what_was_enqueued_stands_and_the_rest_is_drawn_for_it():
    study, _ = searched(trials=16)
    point = drawn(study, {"method": "lora"})
    assert point["method"] == "lora"
    point = drawn(study, {"method": "lora", "train.learning_rate": 0.05})
    assert point["train.learning_rate"] == 0.05
    assert point["lora.targets"] in (["q"], ["q", "v"])
    # What is enqueued comes last in the order of drawing.
    labels = SPACE.labels({"method": "lora", "lora.targets": ["q", "v"]})
    assert drawn(study, labels)["lora.targets"] == ["q", "v"]


def test_several_that_run_at_once_are_not_alike():
    study, _ = searched(trials=10)
    points = [drawn(study) for _ in range(4)]
    assert len({identity(point) for point in points}) == 4


def test_a_failed_point_is_taken_for_the_worst():
    study, points = searched(trials=12)
    best = min(points, key=loss)
    begun = len(study.trials)
    for _ in range(6):
        trial, point = draw(study, SPACE, SEARCH)
        del point
        study.tell(trial, state=TrialState.FAIL)
    # The neighbourhood of what failed is left alone for a while.
    away = drawn(study)
    assert len(study.trials) == begun + 7
    assert identity(away) != identity(best)


def test_trials_of_a_method_that_is_gone_are_no_longer_seen():
    study, _ = searched(trials=12)
    narrow = Space(SPACE.methods[1:])
    study.sampler = GaussianSampler(narrow, startup=4, seed=1)
    for _ in range(2):
        trial, point = draw(study, narrow, SEARCH)
        assert point["method"] == "lora"
        study.tell(trial, 2.0)


def test_each_name_has_its_sampler():
    kinds = (GaussianSampler, optuna.samplers.TPESampler, optuna.samplers.RandomSampler)
    names = get_args(SearchSpec.model_fields["sampler"].annotation)
    for name, kind in zip(names, kinds, strict=True):
        search = SearchSpec(sampler=name, asha=None)
        assert isinstance(sampler_for(search, space=SPACE, trial_number=3), kind)
        start = sampler_for(search, space=SPACE, trial_number=3, is_random=True)
        assert isinstance(start, optuna.samplers.RandomSampler)


def test_a_space_that_has_lost_a_zero_goes_on_without_what_had_it():
    before = Space((MethodSpace("a", {}, (DECAY, RATES)),))
    smaller = Axis("decay", ("train", "decay"), Choice(choice=(0.01, 0.1, 1.0)))
    now = Space((MethodSpace("a", {}, (smaller, RATES)),))
    study = optuna.create_study()
    for number in range(8):
        trial, point = draw(study, before, SEARCH)
        study.tell(trial, 1.0 + number / 10 + (point["decay"] == 0))
    assert 0.0 in {x.params["decay"] for x in study.trials}
    for _ in range(3):
        trial, point = draw(study, now, SEARCH)
        assert point["decay"] in (0.01, 0.1, 1.0)
        study.tell(trial, 1.5)


@pytest.mark.parametrize("value", [float("inf"), -float("inf")])
def test_a_value_that_is_no_finite_number_counts_as_failed(value):
    study, _ = searched(trials=8)
    for _ in range(2):
        trial, _ = draw(study, SPACE, SEARCH)
        trial.set_user_attr(STANDARD_ERROR, float("inf"))
        study.tell(trial, value)
    assert set(drawn(study)) >= {"method", "train.learning_rate"}
    only = optuna.create_study()
    for _ in range(6):
        only.tell(draw(only, SPACE, SEARCH)[0], value)
    # Without any number points are drawn at random.
    assert drawn(only)["method"] in ("masa", "lora")


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize(
    ("of_masa", "of_lora"), [(1e-308, 1e308), (1e308, -1e308), (1e200, 1e-200), (0.0, 0.0)]
)
def test_a_value_may_be_as_large_or_as_small_as_numbers_go(of_masa, of_lora, direction):
    for standard_error in (0.01, 1e300, None):
        study, points = searched(
            trials=8,
            told=lambda point: of_masa if point["method"] == "masa" else of_lora,
            direction=direction,
            standard_error=standard_error,
        )
        assert len(points) == 8
        y, noise = _standardised(study.trials, is_minimised=direction == "minimize")
        assert np.isfinite(y).all()
        assert np.isnan(noise).all() == (standard_error is None)
        assert not np.isinf(noise).any()


def test_the_scale_of_a_metric_does_not_change_what_is_drawn():
    unit = searched(trials=12, told=lambda point: 3.0 - loss(point))[1]
    large = searched(
        trials=12, told=lambda point: 2.0**100 * (3.0 - loss(point)), standard_error=2.0**100 / 100
    )[1]
    assert large == unit


def test_points_that_are_no_trials_are_not_drawn_again_and_observations_are():
    small = Space((MethodSpace("a", {}, (Axis("x", ("train", "x"), IntRange(int=(1, 30))),)),))
    study = optuna.create_study()

    def ask() -> tuple[optuna.Trial, int]:
        trial, point = draw(study, small, SEARCH)
        return trial, int(str(point["x"]))

    for _ in range(6):
        trial, x = ask()
        study.tell(trial, float(x))
    refused = []
    for _ in range(5):
        trial, x = ask()
        trial.set_user_attr(REASON, "it is too large")
        study.tell(trial, state=TrialState.FAIL)
        refused.append(x)
    assert len(set(refused)) == 5
    best = min(set(range(1, 31)) - {x.params["x"] for x in study.trials})
    observed = optuna.trial.create_trial(
        params={"x": best},
        distributions={"x": optuna.distributions.IntDistribution(1, 30)},
        value=-50.0,
        user_attrs={OBSERVED: "old/1"},
    )
    study.add_trial(observed)
    # What another sweep has trained may be the best of this one, too.
    found = []
    for _ in range(3):
        trial, x = ask()
        study.tell(trial, float(x))
        found.append(x)
    assert best in found


def test_of_many_that_failed_the_last_ones_count():
    study = optuna.create_study()
    for number in range(300):
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.FAIL,
                params={"x": number},
                distributions={"x": optuna.distributions.IntDistribution(0, 999)},
            )
        )
    assert [x.number for x in _tried(study.trials, {})] == list(range(250, 300))


def test_a_point_is_chosen_on_one_thread_and_then_there_are_as_many_as_before(monkeypatch):
    seen = []

    def noted(*given, **named):
        seen.append(threads())
        return fitted(*given, **named)

    monkeypatch.setattr(sampler, "fitted", noted)
    with threadpool_limits(limits=2, user_api="blas"):
        searched(SearchSpec(startup_trials=2), trials=4)
        assert threads() == 2
    assert seen == [1, 1]


def threads() -> int:
    return max(x["num_threads"] for x in threadpool_info() if x["user_api"] == "blas")
