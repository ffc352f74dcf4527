"""Which point a sweep tries next, and what its Optuna study is told of the trial's end."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from sweeper._text import shorten
from sweeper.errors import BadInputError
from sweeper.experiment.checks import read_point
from sweeper.experiment.space.space import Point, Space
from sweeper.experiment.sweep import SearchSpec
from sweeper.search.study import TRIAL_ID, draw, redraw, refuse

__all__ = ["MOST_REFUSED", "Suggestion", "Suggestions", "describe_refusals"]

MOST_REFUSED = 100
"""Points in a row that may be no trials before a search is given up."""


def describe_refusals(reason: str) -> str:
    """Returns the message about a space in which hardly any point is a trial.

    Args:
        reason: why the last point is none.
    """
    return (
        f"{MOST_REFUSED} points in a row that were drawn from the space are no trials; of the last "
        f"one {shorten(reason, limit=600)}; narrow the space, so that its values go together"
    )


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
        """Returns the next point that is a trial; its trial is running from now on.

        Points that are none end as failed, with their reason, and are passed over: loading a space
        tries many combinations of its values, but not all.

        Raises:
            BadInputError: none of many points in a row is one.
        """
        for _ in range(MOST_REFUSED):
            trial, point = self._draw()
            found, reason = read_point(self._space, point)
            if found is not None:
                self._running[trial.number] = trial
                return Suggestion(trial.number, point)
            refuse(self._study, trial, reason)
        raise BadInputError(describe_refusals(reason))

    def _draw(self) -> tuple[optuna.Trial, Point]:
        if self._left_behind:
            frozen = self._left_behind.pop(0)
            return redraw(self._study, frozen, self._space, self._search)
        return draw(self._study, self._space, self._search)

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
