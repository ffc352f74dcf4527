"""Which parameters mattered in a search: PED-ANOVA, where it says more than chance does."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from sweeper.experiment.space.space import Space
from sweeper.search.driving.names import Names
from sweeper.search.earlier import is_own

__all__ = ["FEWEST_TRIALS", "Importance", "Importances", "importances_of"]

FEWEST_TRIALS = 24
"""Of 12 complete trials a parameter without use gets more than 40 % in a third of the sweeps."""
_SHUFFLES, _RESAMPLES = 99, 99
_LEVEL = 0.95
_SEED = 20_240_919
# Of more trials a sample is asked: the density of a sample is that of all.
_MOST_TRIALS = 400


@dataclass(frozen=True)
class Importance:
    """The share that a parameter has in what makes the best trials.

    Attributes:
        name: Of the parameter.
        share: From 0 to 1, of all parameters together.
        interval: Of the share, by a bootstrap of the trials, at 95 %.
    """

    name: str
    share: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Importances:
    """What is known of the parameters of a search.

    Attributes:
        trials: How many complete ones were asked, at most 400; nothing else counts.
        target_quantile: Which part of them were the best ones.
        shown: Parameters above what chance does, the largest share first.
        hidden: The others.
    """

    trials: int
    target_quantile: float
    shown: tuple[Importance, ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def are_enough(self) -> bool:
        """Whether there are enough trials to say anything."""
        return self.trials >= FEWEST_TRIALS


class _Sample:
    """What the evaluator reads of a study: its trials, of which a smaller value is better."""

    directions = (optuna.study.StudyDirection.MINIMIZE,)

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        self._trials = list(trials)

    def get_trials(
        self,
        deepcopy: bool = True,  # noqa: ARG002 - as a study has it
        states: object = None,  # noqa: ARG002 - all are complete
    ) -> list[FrozenTrial]:
        return self._trials

    def _is_multi_objective(self) -> bool:
        return False


def importances_of(study: optuna.Study, *, space: Space | None = None) -> Importances:
    """Returns which parameters mattered (PED-ANOVA, Watanabe arXiv:2304.10255).

    A parameter is shown where its importance is above that of shuffled scores: the largest of all
    parameters' ratios to their own mean under shuffling is exceeded by chance in one search of 20.

    Args:
        study: of the sweep; only complete trials count, and none of an earlier sweep.
        space: as it is now, where the sweep's owner has changed it: trials outside do not count.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    names = None if space is None else Names(study, space)
    if names is not None and names.is_revised:
        complete = [own for own in map(names.recast, complete) if own is not None]
    sign = 1.0 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1.0
    rng = np.random.default_rng(_SEED)
    own = [x for x in complete if is_own(x)]
    trials = _sample([x for x in own if x.value is not None and np.isfinite(x.value)], rng)
    quantile = min(0.5, max(0.1, 5 / max(1, len(trials))))
    fields = sorted({name for trial in trials for name in trial.distributions})
    if len(trials) < FEWEST_TRIALS or not fields:
        return Importances(len(trials), quantile)
    values = sign * np.array([cast("float", trial.value) for trial in trials])
    with warnings.catch_warnings():
        # Of a parameter that few trials have; chance is judged with the same few.
        warnings.simplefilter("ignore")
        found = _importances(_with_values(trials, values), fields, quantile)
        null = np.stack(
            [
                _importances(_with_values(trials, rng.permutation(values)), fields, quantile)
                for _ in range(_SHUFFLES)
            ]
        )
        own = _with_values(trials, values)
        draws = rng.integers(len(trials), size=(_RESAMPLES, len(trials)))
        samples = [_importances([own[i] for i in draw], fields, quantile) for draw in draws]
    ends = np.quantile([_shares(x) for x in samples], [0.025, 0.975], axis=0)
    return Importances(len(trials), quantile, *_judged(fields, found, null, ends))


def _sample(trials: list[FrozenTrial], rng: np.random.Generator) -> list[FrozenTrial]:
    """Returns trials, of many a sample without repeats, in their order."""
    if len(trials) <= _MOST_TRIALS:
        return trials
    places = rng.choice(len(trials), _MOST_TRIALS, replace=False)
    return [trials[place] for place in sorted(places)]


def _judged(
    names: Sequence[str],
    found: NDArray[np.float64],
    null: NDArray[np.float64],
    ends: NDArray[np.float64],
) -> tuple[tuple[Importance, ...], tuple[str, ...]]:
    """Returns the parameters above chance, the largest first, and the others.

    Args:
        names: [p].
        found: float64 [p].
        null: float64 [shuffles, p], of shuffled scores.
        ends: float64 [2, p], of the intervals of the shares.
    """
    scale = np.maximum(null.mean(axis=0), 1e-12)
    is_shown = found / scale > np.quantile((null / scale).max(axis=1), _LEVEL)
    shares = _shares(found)
    shown = [
        Importance(name, float(shares[i]), (float(ends[0, i]), float(ends[1, i])))
        for i, name in enumerate(names)
        if is_shown[i]
    ]
    hidden = tuple(name for name, shows in zip(names, is_shown, strict=True) if not shows)
    return tuple(sorted(shown, key=lambda each: -each.share)), hidden


def _with_values(trials: Sequence[FrozenTrial], values: Iterable[float]) -> list[FrozenTrial]:
    found = []
    for trial, value in zip(trials, values, strict=True):
        own = copy.copy(trial)
        own.value = float(value)
        found.append(own)
    return found


def _importances(
    trials: Sequence[FrozenTrial], names: Sequence[str], quantile: float
) -> NDArray[np.float64]:
    """Returns what PED-ANOVA says of each parameter, not normalised."""
    # It brings scikit-learn and SciPy, which whoever starts a sweep would wait for.
    from optuna.importance import PedAnovaImportanceEvaluator

    sample = cast("optuna.Study", _Sample(trials))
    found = PedAnovaImportanceEvaluator(target_quantile=quantile).evaluate(sample)
    return np.array([found.get(name, 0.0) for name in names])


def _shares(found: NDArray[np.float64]) -> NDArray[np.float64]:
    total = float(found.sum())
    return found / total if total > 0 else np.zeros_like(found)
