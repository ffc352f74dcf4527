"""Which point a sweep tries next, and what its Optuna study is told of the trial's end."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from sweeper.experiment.space.space import Point, Space
from sweeper.experiment.sweep import SearchSpec
from sweeper.search.study import TRIAL_ID, draw, redraw

__all__ = ["Suggestion", "Suggestions"]


@dataclass(frozen=True)
class Suggestion:
    """A point to be tried."""

    number: int
    """Optuna's number of the trial."""
    point: Point


class Suggestions:
    """The points of a study in their order, and the word of how each of them did.

    What a dead driver left running comes first, with its old points. Then comes what is enqueued,
    and then what the sampler draws.
    """

    def __init__(self, study: optuna.Study, *, space: Space, search: SearchSpec) -> None:
        """Takes up ``study``.

        Args:
            study: from :func:`~sweeper.search.study.open_study`.
            space: where the points come from.
            search: for the sampler's settings.
        """
        self._study = study
        self._space = space
        self._search = search
        self._left_behind = study.get_trials(states=[TrialState.RUNNING])
        self._running: dict[int, optuna.Trial] = {}

    def next(self) -> Suggestion:
        """Returns the next point; its trial is running from now on."""
        if self._left_behind:
            frozen = self._left_behind.pop(0)
            trial, point = redraw(self._study, frozen, self._space, self._search)
        else:
            trial, point = draw(self._study, self._space, self._search)
        self._running[trial.number] = trial
        return Suggestion(trial.number, point)

    def identify(self, number: int, trial_id: str) -> None:
        """Notes in the study which trial of the sweep came of a suggestion."""
        self._running[number].set_user_attr(TRIAL_ID, trial_id)

    def report(self, number: int, *, evaluation: int, value: float) -> None:
        """Tells Optuna an intermediate value.

        Args:
            number: of the suggestion.
            evaluation: which one of the trial's it is, from 1.
            value: the objective at it.
        """
        known = self._study.get_trials(deepcopy=False)[number].intermediate_values
        # After a resume the first evaluations of a trial are told a second time.
        if evaluation not in known:
            self._running[number].report(value, evaluation)

    def end(self, number: int, *, evaluation: int, value: float, is_complete: bool) -> None:
        """Tells Optuna the last value of a trial that ended, and how it ended.

        Args:
            number: of the suggestion.
            evaluation: the trial's last one, from 1.
            value: the objective at it.
            is_complete: a trial that was stopped before its end is pruned: TPE must not take its
                last value for that of a whole one.
        """
        self.report(number, evaluation=evaluation, value=value)
        trial = self._running.pop(number)
        if is_complete:
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def fail(self, number: int) -> None:
        """Tells Optuna that a trial failed."""
        self._study.tell(self._running.pop(number), state=TrialState.FAIL)
