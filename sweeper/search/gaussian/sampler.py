"""Draws the point whose expected improvement is the largest, by a Gaussian process."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtr
from threadpoolctl import ThreadpoolController

from sweeper.experiment.documents.tree import Json
from sweeper.experiment.space.space import Point, Space
from sweeper.search.driving.attributes import (
    OBSERVED,
    REASON,
    REPEATS,
    STANDARD_ERROR,
    is_retried,
)
from sweeper.search.driving.names import field_of, values_of
from sweeper.search.driving.tpe import shown
from sweeper.search.gaussian.candidates import candidates
from sweeper.search.gaussian.features import Features
from sweeper.search.gaussian.process import Process, fitted

__all__ = ["GaussianSampler"]

# Ended trials that a process is fitted to at most: its time grows with the third power.
_MOST = 200
# The last ones that failed, of however many: each counts with the worst value.
_MOST_FAILED = 50
# So many of the best points have neighbours among the candidates.
_BEST = 5
# Below this the logarithm of the improvement is that of its tail.
_TAIL = -20.0

# Variance of noise, in that of all values, from which on a value says nothing.
_MOST_NOISE = 1e6

_Floats = NDArray[np.float64]


class GaussianSampler(optuna.samplers.BaseSampler):
    """Draws by a Gaussian process over method and fields that is told each value's error.

    Losses, or whatever is smallest at its best and above 0, are fitted as logarithms; their noise
    is the square of the relative standard error. Where a value comes without one, a variance is
    fitted for all such values. The next point has the largest expected improvement over the
    smallest posterior mean of what was tried. A trial that runs counts with its posterior mean, one
    that failed, or whose value is no finite number, with the worst value. Values
    must be of equally long trainings.

    The first trials are drawn at random.
    """

    def __init__(self, space: Space, *, startup: int, seed: int) -> None:
        """Makes the sampler of one trial.

        Args:
            space: where points come from.
            startup: trials that must be complete before the process is fitted.
            seed: of this trial's draws.
        """
        self._space = space
        self._startup = startup
        self._features = Features(space)
        self._chance = np.random.default_rng(seed)
        self._random = optuna.samplers.RandomSampler(seed=seed)
        self._chosen: Point | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns nothing: which fields a point has is known when its method is drawn."""
        del study, trial
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Returns nothing."""
        del study, trial, search_space
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401 - what the distribution holds
        """Returns a value of the chosen point; another is chosen where the trial was given some."""
        point = self._point(study, trial)
        found = {} if point is None else self._space.labels(point)
        # A field of a method that the space has no more is none of the process's.
        if field_of(param_name) in found:
            return found[field_of(param_name)]
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _point(self, study: optuna.Study, own: FrozenTrial) -> Point | None:
        """Returns the point to be tried, with all that is given; None in the random start."""
        given, chosen = _given(self._space, own), self._chosen
        if chosen is None or any(chosen.get(name, x) != x for name, x in given.items()):
            trials = [x for x in study.get_trials(deepcopy=False) if x.number != own.number]
            tried = _tried(trials, study.user_attrs)
            if sum(x.state == TrialState.COMPLETE for x in tried) < self._startup:
                return None
            is_minimised = study.direction == StudyDirection.MINIMIZE
            # Replicas have the cores: threads that wait for each other would take longer.
            with _threads().limit(limits=1, user_api="blas"):
                self._chosen = chosen = self._best(trials, tried, given, is_minimised=is_minimised)
        return chosen

    def _best(
        self,
        trials: Sequence[FrozenTrial],
        tried: Sequence[FrozenTrial],
        given: Mapping[str, Json],
        *,
        is_minimised: bool,
    ) -> Point | None:
        of = [(x, self._point_of(x)) for x in shown(tried, is_minimised=is_minimised, most=_MOST)]
        known = [(x, point) for x, point in of if self._features.has(point)]
        ended = [(x, point) for x, point in known if x.state != TrialState.RUNNING]
        if not any(_is_told(x) for x, _ in ended):
            return None
        y, noise = _standardised([x for x, _ in ended], is_minimised=is_minimised)
        order = np.argsort(y, kind="stable")
        best = [ended[n][1] for n in order[:_BEST]]
        found = candidates(self._space, given, best=best, chance=self._chance)
        # Hashes: ten thousand sets would call Python's collector of garbage at each draw.
        begun = {hash(_name(x.params)) for x in trials if OBSERVED not in x.user_attrs}
        found = [point for point in found if hash(self._name_of(point)) not in begun]
        if not found:
            return None
        seen = self._features.of(point for _, point in ended)
        process = fitted(seen, y, noise, columns=self._features.columns)
        running = [point for x, point in known if x.state == TrialState.RUNNING]
        process = process.believing(self._features.of(running))
        gain = _log_improvement(process, self._features.of(found))
        return found[int(np.argmax(gain))]

    def _name_of(self, point: Point) -> frozenset[tuple[str, object]]:
        labels = self._space.labels(point)
        if len(self._space.methods) == 1:
            # A study has no choice of one.
            labels.pop("method", None)
        return _name(labels)

    def _point_of(self, trial: FrozenTrial) -> Point:
        values = values_of(trial.params, trial.distributions)
        return {"method": self._space.methods[0].name, **values}


def _tried(trials: Sequence[FrozenTrial], marks: Mapping[str, object]) -> list[FrozenTrial]:
    """Returns the trials that say anything: complete, running or failed, and of a whole point."""
    found = [trial for trial in trials if _says_something(trial, marks)]
    failed = [trial.number for trial in found if trial.state == TrialState.FAIL]
    left_out = set(failed[:-_MOST_FAILED])
    return [trial for trial in found if trial.number not in left_out] if left_out else found


def _says_something(trial: FrozenTrial, marks: Mapping[str, object]) -> bool:
    if trial.state not in (TrialState.COMPLETE, TrialState.RUNNING, TrialState.FAIL):
        return False
    said = trial.user_attrs
    is_left_out = REPEATS in said or REASON in said
    return not (is_left_out or is_retried(trial, marks))


def _name(params: Mapping[str, object]) -> frozenset[tuple[str, object]]:
    """Returns what two trials at one point have in common."""
    return frozenset(zip(map(field_of, params), params.values(), strict=True))


def _is_told(trial: FrozenTrial) -> bool:
    """Whether a trial has ended with a number."""
    return trial.value is not None and math.isfinite(trial.value)


def _given(space: Space, trial: FrozenTrial) -> dict[str, Json]:
    """Returns the values of a trial's point that are settled: drawn before, or enqueued."""
    fixed: Mapping[str, Json] = trial.system_attrs.get("fixed_params", {})
    axes = {x.name: x.distribution for method in space.methods for x in method.axes}
    enqueued = {
        name: axes[name].value(label) if name in axes else label
        for name, label in ((field_of(key), label) for key, label in fixed.items())
    }
    return {**enqueued, **values_of(trial.params, trial.distributions)}


def _standardised(trials: Sequence[FrozenTrial], *, is_minimised: bool) -> tuple[_Floats, _Floats]:
    """Returns values of which less is better, with mean 0 and deviation 1, and their noise.

    Returns:
        Values and variances of their noise, float64 [n] each; not a number where a variance is not
        known.
    """
    told = np.array([float(str(x.value)) if _is_told(x) else math.nan for x in trials])
    worst = np.nanmax(told) if is_minimised else np.nanmin(told)
    errors = np.array([x.user_attrs.get(STANDARD_ERROR, math.nan) for x in trials], np.float64)
    errors[~np.isfinite(errors)] = math.nan
    values = np.where(np.isnan(told), worst, told)
    # A perplexity may be as large as numbers go: no square and no sum of values is taken.
    with np.errstate(over="ignore"):
        if is_minimised and (values > 0).all():
            errors, values = errors / values, np.log(values)
        else:
            size = float(np.abs(values).max()) or 1.0
            errors, values = errors / size, values / (size if is_minimised else -size)
        scale = float(values.std()) or 1.0
        noise = np.minimum((errors / scale) ** 2, _MOST_NOISE)
    # What has failed has no value to be noisy.
    return (values - values.mean()) / scale, np.where(np.isnan(told), 0.0, noise)


@functools.cache
def _threads() -> ThreadpoolController:
    """Returns what limits the threads of matrix products; it looks for their libraries once."""
    return ThreadpoolController()


def _log_improvement(process: Process, points: _Floats) -> _Floats:
    """Returns the logarithm of the expected improvement, float64 [m]."""
    mean, deviation = process.at(points)
    ratio = (process.best_mean() - mean) / deviation
    density = np.exp(-0.5 * ratio**2) / math.sqrt(2.0 * math.pi)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.log(density + ratio * ndtr(ratio))
        # φ(z) + zΦ(z) tends to φ(z) / z².
        tail = -0.5 * ratio**2 - 0.5 * math.log(2.0 * math.pi) - 2.0 * np.log(np.abs(ratio))
    return np.log(deviation) + np.where(ratio < _TAIL, tail, whole)
