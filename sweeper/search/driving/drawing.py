"""The next trial of a study and its point: drawn, taken up from a dead driver, or tried again.

A trial that has begun stays what it is, whatever its owner has made of the space since: it keeps
its values, be they in the space or not, and so does one that failed and is tried again.
"""

from __future__ import annotations

from collections.abc import Iterator

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweeper.experiment.space.space import Point, Space
from sweeper.experiment.sweep import SearchSpec
from sweeper.search.driving.attributes import TRIAL_ID
from sweeper.search.driving.names import NamedTrial, Names, values_of
from sweeper.search.driving.samplers import MakeSampler, sampler_for
from sweeper.search.driving.tpe import ShownSampler
from sweeper.search.earlier import is_own, observed_in

__all__ = ["draw", "redraw"]


def draw(
    study: optuna.Study,
    space: Space,
    search: SearchSpec,
    *,
    is_random: bool = False,
    make_sampler: MakeSampler = sampler_for,
    names: Names | None = None,
) -> tuple[optuna.Trial, Point]:
    """Returns the study's next trial and its point: enqueued, or drawn by the sampler.

    Args:
        study: the sweep's.
        space: where the point comes from.
        search: for the sampler's settings.
        is_random: whether results do not matter.
        make_sampler: makes the sampler.
        names: of the fields in the study; looked up where None.
    """
    names = names or Names(study, space)
    sampler = make_sampler(search, space=space, trial_number=_begun(study), is_random=is_random)
    if names.is_revised and isinstance(sampler, ShownSampler):
        sampler.recast = names.recast
    study.sampler = sampler
    trial = study.ask()
    return trial, _point(study, trial, space, names)


def redraw(
    study: optuna.Study,
    frozen: optuna.trial.FrozenTrial,
    space: Space,
    search: SearchSpec,
    *,
    names: Names,
) -> tuple[optuna.Trial, Point]:
    """Returns a trial that a dead driver left running, and its point, which is the old one.

    Args:
        study: the sweep's.
        frozen: running.
        space: where what it has not been given yet comes from.
        search: for the sampler's settings.
        names: of the fields in the study.
    """
    # As many of its own as had begun before it.
    number = frozen.number - observed_in(study)
    study.sampler = sampler_for(search, space=space, trial_number=number)
    # Optuna has no public way to take up a running trial of a storage again.
    trial = optuna.Trial(study, frozen._trial_id)
    return trial, _point(study, trial, space, names)


def _point(study: optuna.Study, trial: optuna.Trial, space: Space, names: Names) -> Point:
    """Returns the point of a trial: what it was given, and the rest drawn."""
    given = trial.params
    # Optuna has no public way to see what was enqueued.
    enqueued = trial._fixed_params
    for name, distribution in _drawn_before(study, trial):
        if name not in given and name in enqueued:
            _suggest(trial, name, distribution)
    known = values_of(trial.params, trial.distributions)
    return space.suggest(NamedTrial(trial, names), known)


def _drawn_before(
    study: optuna.Study, trial: optuna.Trial
) -> Iterator[tuple[str, BaseDistribution]]:
    """Yields what a trial that is tried again was drawn from the last time, by name."""
    trial_id = trial.user_attrs.get(TRIAL_ID)
    if trial_id is None:
        return
    for before in reversed(study.get_trials(deepcopy=False)[: trial.number]):
        if before.user_attrs.get(TRIAL_ID) == trial_id and before.distributions:
            yield from before.distributions.items()
            return


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> None:
    """Gives a trial the value that was enqueued for it."""
    match distribution:
        case CategoricalDistribution():
            trial.suggest_categorical(name, distribution.choices)
        case FloatDistribution():
            trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
        case IntDistribution():
            trial.suggest_int(name, distribution.low, distribution.high, step=distribution.step)


def _begun(study: optuna.Study) -> int:
    """Returns how many of its own trials a study has begun."""
    waiting = optuna.trial.TrialState.WAITING
    trials = study.get_trials(deepcopy=False)
    return sum(trial.state != waiting and is_own(trial) for trial in trials)
