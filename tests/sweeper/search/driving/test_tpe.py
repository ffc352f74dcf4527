"""What of a long study the sampler is shown."""

from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.experiment.sweep import SearchSpec
from sweeper.search.driving.samplers import sampler_for
from sweeper.search.driving.tpe import MOST_SHOWN, shown
from tests.sweeper.search.two_methods import SPACE

RANGE = FloatDistribution(0.0, 1.0)


def trials_of(count: int) -> list[FrozenTrial]:
    """Trials of which every second one is pruned, the best ones in the middle."""
    found = []
    for number in range(count):
        place = number / count
        is_complete = number % 2 == 0
        trial = create_trial(
            state=TrialState.COMPLETE if is_complete else TrialState.PRUNED,
            value=abs(place - 0.5) if is_complete else None,
            params={"x": place},
            distributions={"x": RANGE},
            intermediate_values={1: 2.0, 2: abs(place - 0.5)},
        )
        trial.number = number
        found.append(trial)
    return found


def test_all_of_few_are_shown() -> None:
    trials = trials_of(MOST_SHOWN)
    assert shown(trials, is_minimised=True) == trials


def test_of_many_the_best_and_every_nth_other_one_are_shown() -> None:
    trials = trials_of(10 * MOST_SHOWN)
    found = shown(trials, is_minimised=True)
    assert len(found) == MOST_SHOWN
    numbers = [trial.number for trial in found]
    assert numbers == sorted(numbers)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = sorted(complete, key=lambda trial: trial.value or 0.0)[:25]
    assert {trial.number for trial in best} <= set(numbers)
    # Evenly over the course of the search, the last one among them.
    assert numbers[-1] == trials[-1].number
    for part in range(10):
        begin = part * MOST_SHOWN
        inside = sum(begin <= number < begin + MOST_SHOWN for number in numbers)
        assert 45 <= inside <= 75
    worst = shown(trials, is_minimised=False)
    assert {0, trials[-2].number} <= {trial.number for trial in worst}


def test_what_runs_or_waits_is_always_shown() -> None:
    trials = trials_of(2 * MOST_SHOWN)
    trials[7].state, trials[8].state = TrialState.RUNNING, TrialState.WAITING
    assert {7, 8} <= {trial.number for trial in shown(trials, is_minimised=True)}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_short_study_is_searched_as_optuna_does() -> None:
    search = SearchSpec(trials=30, startup_trials=3, stop="asha")

    def ours(number: int) -> optuna.samplers.BaseSampler:
        return sampler_for(search, space=SPACE, trial_number=number)

    def optunas(number: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler(
            multivariate=True,
            group=True,
            constant_liar=True,
            n_startup_trials=3,
            seed=(search.seed * 1_000_003 + number) % 2**32,
        )

    def run(make: Callable[[int], optuna.samplers.BaseSampler]) -> list[float]:
        study = optuna.create_study()
        found = []
        for number in range(12):
            study.sampler = make(number)
            trial = study.ask()
            found.append(trial.suggest_float("x", 0.0, 1.0))
            study.tell(trial, (found[-1] - 0.3) ** 2)
        return found

    assert run(ours) == run(optunas)
