"""Which point a sweep tries next, and what its Optuna study is told of the trial's end."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from sweeper.errors import SpecError
from sweeper.experiment.space.space import LISTED_POINTS, Point, Space
from sweeper.experiment.sweep import SearchSpec
from sweeper.search.driving.attributes import (
    REASON,
    REPEATS,
    STANDARD_ERROR,
    TRIAL_ID,
    UNPLANNED,
    is_retried,
)
from sweeper.search.driving.drawing import draw, redraw
from sweeper.search.driving.names import Names
from sweeper.search.driving.samplers import MakeSampler, sampler_for
from sweeper.search.earlier import observed_in
from sweeper.search.study import mark_exhausted, refuse

__all__ = ["MANY_REPEATS", "Suggestion", "Suggestions"]

# Draws in a row that repeat a trial, or are none, before the sampler is not asked any more.
FEW_REPEATS = 3
MANY_REPEATS = 100
"""Draws in a row that repeat a trial, or are none, before a space that is too large to be listed
counts as exhausted."""


@dataclass(frozen=True)
class Suggestion:
    """A trial to be run."""

    number: int
    """Of the trial among the sweep's own in Optuna's study, from 0."""
    point: Point
    trial_id: str
    """Identity of the trial at that point."""
    supersedes: str | None = None
    """Identity that the same suggestion had under other data or another version of the program."""


class Suggestions:
    """The trials of a study in their order, no two of one identity, and the word of how each did.

    What a dead driver left running comes first, with its old points. Then comes what is enqueued,
    and then what the sampler draws. A draw that repeats a trial is told to Optuna as failed, with
    the identity of the first in an attribute, and another is drawn.
    """

    def __init__(
        self,
        study: optuna.Study,
        *,
        space: Space,
        search: SearchSpec,
        identify: Callable[[Point], str],
        make_sampler: MakeSampler = sampler_for,
        revised: Callable[[], tuple[Space, SearchSpec] | None] = lambda: None,
    ) -> None:
        """Takes up ``study``.

        Args:
            study: from :func:`~sweeper.search.study.open_study`.
            space: where the points come from.
            search: for the sampler's settings.
            identify: returns the identity of the trial at a point; a ``SpecError`` says that the
                point is none.
            make_sampler: makes the sampler of each trial that is drawn; the replay bench compares
                others with the sweep's own.
            revised: returns the space and its search where the sweep's owner has changed them since
                it was asked last; asked before each draw.
        """
        self._study = study
        self._make_sampler = make_sampler
        self._space = space
        self._search = search
        self._identify = identify
        # Trials of earlier sweeps come before the sweep's own, which are numbered from 0.
        self._observed = observed_in(study)
        self._revised = revised
        self._names = Names(study, space)
        self._left_behind = study.get_trials(states=[TrialState.RUNNING])
        ended = study.get_trials(deepcopy=False, states=[s for s in TrialState if s.is_finished()])
        marks = study.user_attrs
        self._known = {
            trial.user_attrs[TRIAL_ID]
            for trial in ended
            if TRIAL_ID in trial.user_attrs and not is_retried(trial, marks)
        }
        self._running: dict[int, optuna.Trial] = {}

    def next(self) -> Suggestion | None:
        """Returns the next trial, running from now on; None where the space has no other.

        A point that is no trial ends as failed, with the reason in an attribute, and another is
        drawn: loading a space tries many combinations of its values, but not all.
        """
        if (found := self._revised()) is not None:
            self._space, self._search = found
            self._names = Names(self._study, self._space)
            # Of the space as it was.
            self.__dict__.pop("_listed", None)
        passed_over = 0
        while (drawn := self._draw(passed_over)) is not None:
            trial, point = drawn
            passed_over += 1
            try:
                trial_id = self._identify(point)
            except SpecError as error:
                refuse(self._study, trial, REASON, "; ".join(map(str, error.problems)))
                continue
            if trial_id not in self._known:
                return self._begin(trial, point, trial_id)
            refuse(self._study, trial, REPEATS, trial_id)
        mark_exhausted(self._study)
        return None

    def _draw(self, repeats: int) -> tuple[optuna.Trial, Point] | None:
        if self._left_behind:
            left = self._left_behind.pop(0)
            return redraw(self._study, left, self._space, self._search, names=self._names)
        waits = self._study.get_trials(deepcopy=False, states=[TrialState.WAITING])
        is_stuck = repeats >= FEW_REPEATS and not waits
        if is_stuck and not self._enqueue_untried(repeats):
            return None
        return draw(
            self._study,
            self._space,
            self._search,
            is_random=is_stuck,
            make_sampler=self._make_sampler,
            names=self._names,
        )

    def _enqueue_untried(self, repeats: int) -> bool:
        """Enqueues a point that was not tried; returns False where the space has none."""
        if self._listed is None:
            return repeats < MANY_REPEATS
        untried = [point for point, trial_id in self._listed if trial_id not in self._known]
        if untried:
            chance = random.Random(f"{self._search.seed}-{len(self._known)}")
            self._study.enqueue_trial(
                self._space.labels(chance.choice(untried)),
                {UNPLANNED: True},
                skip_if_exists=False,
            )
        return bool(untried)

    @functools.cached_property
    def _listed(self) -> list[tuple[Point, str]] | None:
        """All trials of the space with their points; None where they are too many."""
        points = self._space.points(most=LISTED_POINTS)
        if points is None:
            return None
        found = []
        for point in points:
            # A point that is no trial is none to be listed.
            with suppress(SpecError):
                found.append((point, self._identify(point)))
        return found

    def _begin(self, trial: optuna.Trial, point: Point, trial_id: str) -> Suggestion:
        before = trial.user_attrs.get(TRIAL_ID)
        trial.set_user_attr(TRIAL_ID, trial_id)
        self._known.add(trial_id)
        number = trial.number - self._observed
        self._running[number] = trial
        supersedes = before if before != trial_id else None
        return Suggestion(number, point, trial_id, supersedes)

    def report(self, number: int, *, evaluation: int, value: float) -> None:
        """Tells Optuna an intermediate value.

        Args:
            number: of the suggestion.
            evaluation: which one of the trial's it is, from 1.
            value: the objective at it.
        """
        trials = self._study.get_trials(deepcopy=False)
        known = trials[number + self._observed].intermediate_values
        # After a resume the first evaluations of a trial are told a second time.
        if evaluation not in known:
            self._running[number].report(value, evaluation)

    def end(
        self,
        number: int,
        *,
        evaluation: int,
        value: float,
        is_complete: bool,
        standard_error: float | None = None,
    ) -> None:
        """Tells Optuna the last value of a trial that ended, and how it ended.

        Args:
            number: of the suggestion.
            evaluation: the trial's last one, from 1.
            value: the objective at it.
            is_complete: a trial that was stopped before its end is pruned: a sampler must not take
                its last value for that of a whole one.
            standard_error: of the value, where it is known.
        """
        self.report(number, evaluation=evaluation, value=value)
        trial = self._running.pop(number)
        if is_complete:
            if standard_error is not None and self._search.sampler == "gp":
                trial.set_user_attr(STANDARD_ERROR, standard_error)
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def drop(self, number: int) -> None:
        """Tells Optuna that a trial was stopped for good before its first evaluation."""
        self._study.tell(self._running.pop(number), state=TrialState.PRUNED)

    def fail(self, number: int) -> None:
        """Tells Optuna that a trial failed."""
        self._study.tell(self._running.pop(number), state=TrialState.FAIL)
