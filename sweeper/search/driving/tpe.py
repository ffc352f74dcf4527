"""TPE, and what of a long study a sampler is shown."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

__all__ = ["MOST_SHOWN", "ShownSampler", "shown"]

MOST_SHOWN = 500
"""Ended trials that the sampler is shown at most."""
# So many of the best ones TPE tells apart from the rest, of however many trials.
_BEST = 25

_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def shown(
    trials: Sequence[FrozenTrial], *, is_minimised: bool, most: int = MOST_SHOWN
) -> list[FrozenTrial]:
    """Returns the trials of a study that its sampler is shown, in their order.

    All are shown up to ``most``. Of more, the 25 best are shown, and every n-th of the
    others, so that those early and late in the search are seen in their proportion: TPE compares
    the density of the best 25 with that of the rest, and of a density every n-th point says the
    same. What runs is always shown, or its point would be drawn twice.

    Args:
        trials: of the study, by number.
        is_minimised: whether less of the objective is better.
        most: ended ones that are shown, above 25.
    """
    ended = [place for place, trial in enumerate(trials) if trial.state in _ENDED]
    if len(ended) <= most:
        return list(trials)
    standing = _standing(is_minimised)
    best = set(heapq.nsmallest(_BEST, ended, key=lambda place: standing(trials[place])))
    others = [place for place in ended if place not in best]
    count = most - _BEST
    # Evenly, the last one among them.
    kept = {others[(nth + 1) * len(others) // count - 1] for nth in range(count)}
    left_out = set(others) - kept
    return [trial for place, trial in enumerate(trials) if place not in left_out]


def _standing(is_minimised: bool) -> Callable[[FrozenTrial], tuple[int, float, float]]:
    """Returns the key by which TPE ranks: the whole trials, then the others, the longest first."""
    sign = 1.0 if is_minimised else -1.0

    def key(trial: FrozenTrial) -> tuple[int, float, float]:
        if trial.state == TrialState.COMPLETE:
            return 0, 0.0, sign * cast("float", trial.value)
        if not trial.intermediate_values:
            return 2, 0.0, 0.0
        step, value = max(trial.intermediate_values.items())
        return 1, -step, sign * value if value == value else float("inf")

    return key


class _Shown:
    """A study as its sampler sees it."""

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        self._study = study
        self._trials = trials

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the study has
        return getattr(self._study, name)

    def _get_trials(
        self,
        deepcopy: bool = True,  # noqa: ARG002 - as a study has it
        states: Sequence[TrialState] | None = None,
        use_cache: bool = False,  # noqa: ARG002 - as a study has it
    ) -> list[FrozenTrial]:
        return [trial for trial in self._trials if states is None or trial.state in states]


class ShownSampler(optuna.samplers.TPESampler):
    """TPE that is shown a part of a long study, the same part for all parameters of a trial."""

    recast: Callable[[FrozenTrial], FrozenTrial | None] | None = None
    """Returns a trial as if drawn from the space as it is now, None where it falls outside; None
    where the space was never changed."""
    _view: tuple[int, _Shown] | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns the parameters that are drawn together."""
        return super().infer_relative_search_space(self._of(study, trial), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Returns values of these."""
        return super().sample_relative(self._of(study, trial), trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401 - what the distribution holds
        """Returns a value of a parameter that is drawn alone."""
        of = self._of(study, trial)
        return super().sample_independent(of, trial, param_name, param_distribution)

    def _of(self, study: optuna.Study, trial: FrozenTrial) -> optuna.Study:
        if self._view is None or self._view[0] != trial.number:
            trials = study.get_trials(deepcopy=False)
            if self.recast is not None:
                trials = [own for own in map(self.recast, trials) if own is not None]
            is_minimised = study.direction == optuna.study.StudyDirection.MINIMIZE
            self._view = trial.number, _Shown(study, shown(trials, is_minimised=is_minimised))
        # Optuna asks nothing of it that the study does not have.
        return cast("optuna.Study", self._view[1])
