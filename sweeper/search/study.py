"""The sweep's Optuna study: what was suggested and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from sweeper._text import count, shorten
from sweeper.errors import BadInputError
from sweeper.experiment.space.space import Point, Space
from sweeper.experiment.sweep import ObjectiveSpec, SearchSpec
from sweeper.search.driving.attributes import (
    OBSERVED,
    REASON,
    REPEATS,
    TRIAL_ID,
    UNPLANNED,
    is_retried,
    retry_mark,
)
from sweeper.search.driving.one_writer import OneWriterStorage
from sweeper.search.driving.samplers import sampler_for
from sweeper.search.earlier import add_observations, searched_values
from sweeper.search.storage import storage_at
from sweeper.tracking.databases import StudyPlace
from sweeper.tracking.stored import Observation

__all__ = [
    "FinishedTrial",
    "best_first",
    "ended_trials",
    "enqueue_again",
    "enqueue_failed",
    "enqueue_fixed",
    "is_exhausted",
    "mark_exhausted",
    "note_revision",
    "open_study",
    "past_values",
    "read_study",
    "refuse",
    "repeats_note",
    "states_by_id",
    "trials_in_all",
    "trials_left",
    "values_left_behind",
]

# Attribute of a study: its space has no other trial.
_EXHAUSTED = "exhausted"
# Attribute of a study: how many revisions of its space it has taken up.
_REVISION = "revision"


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that need not be run, since it was finished before."""

    trial_id: str
    """Its identity."""
    values: tuple[float, ...]
    """The objective at its evaluations, in their order; at least one."""


def _nothing_is_finished(number: int, point: Point) -> FinishedTrial | None:  # noqa: ARG001 - the default of an argument
    return None


def open_study(
    place: StudyPlace,
    *,
    objective: ObjectiveSpec,
    space: Space,
    search: SearchSpec,
    find_finished: Callable[[int, Point], FinishedTrial | None] = _nothing_is_finished,
    find_observations: Callable[[], Sequence[Observation]] = tuple,
) -> optuna.Study:
    """Returns the sweep's Optuna study; a new one has the baselines and the grid enqueued.

    Args:
        place: where it is, or is to be made.
        objective: what is optimised.
        space: where the points come from.
        search: for the number of trials, and the sampler's settings.
        find_finished: returns the trial of a number at a listed point if it was finished before; it
            is told as complete in its place.
        find_observations: returns trials of earlier sweeps that a new study begins with.

    Raises:
        BadInputError: the study was begun with the other mode, or is not where it was begun, or its
            database does not answer.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = storage_at(place)
    name = _name_at(place, storage)
    if name is None and place.was_elsewhere:
        raise BadInputError(
            f"sweep: its study {place.name} was begun at {place.noted}, and is not at {place}; a "
            "sweep goes on with its study; set SWEEPER_OPTUNA_STORAGE to where it is, or, if it is "
            "lost, remove study.json from the sweep's folder: the study is then made again"
        )
    direction: Literal["minimize", "maximize"] = (
        "minimize" if objective.mode == "min" else "maximize"
    )
    study = optuna.create_study(
        # Whoever opens it so is its only driver.
        storage=OneWriterStorage(storage),
        study_name=name or place.name,
        direction=direction,
        sampler=sampler_for(search, space=space, trial_number=0),
        load_if_exists=True,
    )
    if study.direction.name.lower() != direction:
        raise BadInputError(
            f"the study {place.name} was begun to {study.direction.name.lower()} "
            f"{objective.metric}, but objective.mode is {objective.mode!r}; what was searched so "
            "far does not fit; run the search space again as a new sweep"
        )
    add_observations(study, space, find_observations, search)
    enqueue_fixed(study, space, search, find_finished=find_finished)
    return study


def enqueue_fixed(
    study: optuna.Study,
    space: Space,
    search: SearchSpec,
    *,
    find_finished: Callable[[int, Point], FinishedTrial | None] = _nothing_is_finished,
) -> None:
    """Enqueues the baselines and the grid, as far as the study does not have them.

    Args:
        study: of the sweep.
        space: where the points come from.
        search: for the number of trials.
        find_finished: as in :func:`open_study`.
    """
    trials = study.get_trials(deepcopy=False)
    enqueued = sum(
        "fixed_params" in trial.system_attrs and UNPLANNED not in trial.user_attrs
        for trial in trials
    )
    fixed = space.fixed_points(search.trials)
    for number in range(enqueued, len(fixed)):
        point = fixed[number]
        is_listed = "method" in point and space.method(str(point["method"])).listed is not None
        finished = find_finished(number, point) if is_listed else None
        if finished is None:
            study.enqueue_trial(space.labels(point), skip_if_exists=False)
        else:
            study.add_trial(_ended(space, point, finished, search))


def read_study(place: StudyPlace) -> optuna.Study | None:
    """Returns a study as it is now; None where there is none.

    Args:
        place: of the study; a file is there.

    Raises:
        BadInputError: its shared database does not answer.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = storage_at(place)
    name = _name_at(place, storage)
    if name is None:
        return None
    return optuna.load_study(study_name=name, storage=OneWriterStorage(storage))


def _name_at(place: StudyPlace, storage: optuna.storages.RDBStorage) -> str | None:
    """Returns the name of a place's study; None where it is not there.

    In a file there is one study, which keeps its name when the sweep's folder gets another one.
    """
    names = optuna.get_all_study_names(storage)
    if place.path is None:
        return place.name if place.name in names else None
    return names[0] if names else None


def _ended(
    space: Space, point: Point, finished: FinishedTrial, search: SearchSpec
) -> optuna.trial.FrozenTrial:
    """Returns a listed trial as the study would have it, had it been enqueued and run."""
    labels = space.labels(point)
    names = [method.name for method in space.methods]
    is_drawn = len(names) > 1
    distributions: dict[str, BaseDistribution] = {}
    if is_drawn:
        distributions["method"] = CategoricalDistribution(names)
    values = searched_values(finished.values, space, search)
    return optuna.trial.create_trial(
        value=values[-1],
        params=labels if is_drawn else {},
        distributions=distributions,
        user_attrs={TRIAL_ID: finished.trial_id},
        system_attrs={"fixed_params": labels},
        intermediate_values=dict(enumerate(values, start=1)),
    )


def refuse(study: optuna.Study, trial: optuna.Trial, attribute: str, value: str) -> None:
    """Ends a trial that the sweep does not run: it failed, and is not tried again.

    Args:
        study: of the sweep.
        trial: running.
        attribute: ``REASON`` where its point is no trial, ``REPEATS`` where it is one again.
        value: why, or the identity of the first.
    """
    trial.set_user_attr(attribute, value)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def enqueue_failed(study: optuna.Study) -> list[str]:
    """Enqueues the points of failed trials again and returns the trials' identities."""
    return enqueue_again(study, study.get_trials(states=[optuna.trial.TrialState.FAIL]))


def enqueue_again(study: optuna.Study, trials: Iterable[optuna.trial.FrozenTrial]) -> list[str]:
    """Enqueues the points of trials again that have ended, and returns the trials' identities.

    Args:
        study: of the sweep.
        trials: of it; one that was run again already is left out.
    """
    found: list[str] = []
    states, marks = states_by_id(study), study.user_attrs
    for trial in trials:
        if not is_retried(trial, marks) and TRIAL_ID in trial.user_attrs:
            trial_id = str(trial.user_attrs[TRIAL_ID])
            # A driver may have died between the two lines that follow.
            if states[trial_id] != optuna.trial.TrialState.WAITING:
                attributes = {TRIAL_ID: trial_id, UNPLANNED: True}
                study.enqueue_trial(trial.params, attributes, skip_if_exists=False)
            # A trial of Optuna's cannot be changed after its end; the study can.
            study.set_user_attr(retry_mark(trial), True)
            found.append(trial_id)
    return found


def ended_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Returns the trials that count as tried: they ended, and are not to be run again.

    What repeats a trial does not count, nor what was none: another one took its place. Nor do
    trials of earlier sweeps.
    """
    marks = study.user_attrs
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished()
        and not is_retried(trial, marks)
        and not {REPEATS, REASON, OBSERVED} & trial.user_attrs.keys()
    ]


def best_first(study: optuna.Study) -> list[str]:
    """Returns the identities of the trials that ended with a value to be compared, the best first.

    A run that was repeated counts with its last value.
    """
    sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
    values = {
        str(trial.user_attrs[TRIAL_ID]): sign * trial.value
        for trial in ended_trials(study)
        if TRIAL_ID in trial.user_attrs and trial.value is not None
    }
    return sorted(values, key=values.__getitem__)


def trials_left(study: optuna.Study, search: SearchSpec) -> int:
    """Returns how many trials a sweep may still run, those that were left running among them."""
    left = max(0, search.trials - len(ended_trials(study)))
    if not is_exhausted(study):
        return left
    states = (optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.WAITING)
    return min(left, len(study.get_trials(deepcopy=False, states=states)))


def trials_in_all(study: optuna.Study, search: SearchSpec) -> int:
    """Returns how many trials a sweep has: those asked for, or all of a space that is exhausted."""
    return len(ended_trials(study)) + trials_left(study, search)


def mark_exhausted(study: optuna.Study) -> None:
    """Notes that the space has no trial besides those that were tried."""
    study.set_user_attr(_EXHAUSTED, True)


def note_revision(study: optuna.Study, number: int) -> None:
    """Notes which revision of its space a study is drawn from; a new one may have more trials.

    Args:
        study: of the sweep.
        number: of revisions that there are, from 0.
    """
    if study.user_attrs.get(_REVISION, 0) != number:
        study.set_user_attr(_REVISION, number)
        if is_exhausted(study):
            study.set_user_attr(_EXHAUSTED, False)


def is_exhausted(study: optuna.Study) -> bool:
    """Returns whether the space has no trial besides those that were tried."""
    return bool(study.user_attrs.get(_EXHAUSTED))


def repeats_note(study: optuna.Study, search: SearchSpec) -> str:
    """Returns sentences on draws that were not run; empty where there are none."""
    trials = study.get_trials(deepcopy=False)
    repeats = sum(REPEATS in trial.user_attrs for trial in trials)
    refused = [str(trial.user_attrs[REASON]) for trial in trials if REASON in trial.user_attrs]
    notes = []
    if refused:
        noun = (
            "point that is no trial was" if len(refused) == 1 else "points that are no trials were"
        )
        notes.append(f"{len(refused)} {noun} passed over: {shorten(refused[-1], limit=400)}.")
    if is_exhausted(study):
        tried = len(ended_trials(study))
        notes.append(
            f"The space is exhausted: it has {count(tried, 'distinct trial')}, fewer than the "
            f"{search.trials} asked for. No trial was run twice."
        )
    elif repeats:
        notes.append(f"{count(repeats, 'draw')} repeated an earlier trial; no trial was run twice.")
    return " ".join(notes)


def states_by_id(study: optuna.Study) -> dict[str, optuna.trial.TrialState]:
    """Returns how the study has each trial that was suggested, by the trial's identity.

    Of a trial that was run again the last run counts.
    """
    trials = study.get_trials(deepcopy=False)
    return {t.user_attrs[TRIAL_ID]: t.state for t in trials if TRIAL_ID in t.user_attrs}


def past_values(study: optuna.Study) -> list[list[float]]:
    """Returns for each trial that ended the objective at its evaluations, in their order."""
    values = [trial.intermediate_values for trial in ended_trials(study)]
    return [[value for _, value in sorted(found.items())] for found in values]


def values_left_behind(study: optuna.Study) -> dict[str, list[float]]:
    """Returns the objective at the evaluations of each trial that runs, by the trial's identity.

    Before a driver has begun any, they are those that a dead one has left in training.
    """
    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    return {
        str(trial.user_attrs[TRIAL_ID]): [x for _, x in sorted(trial.intermediate_values.items())]
        for trial in running
        if TRIAL_ID in trial.user_attrs
    }
