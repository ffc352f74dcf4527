"""Samplers that the sweep does not have: at random, and a Gaussian process with known noise."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from scipy.linalg import cho_solve
from scipy.special import ndtr

from sweeper.experiment.sweep import SearchSpec
from sweeper.search.driving.samplers import sampler_for
from sweeper.search.study import REASON, REPEATS

__all__ = ["KnownNoise", "random_sampler"]

_Floats = NDArray[np.float64]

# Values of the process's parameters, of which the likeliest is taken: lengths in units of the range
# of learning rates, correlations between methods and between sizes, variances of a standardised
# logarithm of the loss.
_LENGTHS = (0.15, 0.3, 0.6)
_METHODS = (0.3, 0.6, 0.9)
_SIZES = (0.5, 0.9)
_VARIANCES = (0.5, 1.0, 2.0)
# Of a standardised value: keeps matrices from being singular where two trials are alike.
_JITTER = 1e-4


def random_sampler(
    search: SearchSpec,
    *,
    trial_number: int,
    is_random: bool = True,  # noqa: ARG001 - the signature of a sampler's maker
) -> optuna.samplers.BaseSampler:
    """Returns the sweep's sampler of a random start, for every trial."""
    return sampler_for(search, trial_number=trial_number, is_random=True)


@dataclass(frozen=True)
class _Kernel:
    """Correlations of points, [method, size, rate] each, the rate and the size within 0 and 1."""

    length: float
    methods: float
    sizes: float
    variance: float

    def __call__(self, first: _Floats, second: _Floats) -> _Floats:
        """Returns the covariances, [n, m]: Matérn 5/2 over the rate, times those of the rest."""
        method, size, rate = (first[:, None, axis] - second[None, :, axis] for axis in range(3))
        distance = np.sqrt(5.0) * np.abs(rate) / self.length
        smooth = (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)
        of_method = np.where(method == 0, 1.0, self.methods)
        return np.asarray(self.variance * smooth * of_method * self.sizes ** np.abs(size))


class KnownNoise(optuna.samplers.BaseSampler):
    """A Gaussian process over method, size and learning rate that is told each value's error.

    It is fitted to the logarithm of the loss, whose variance is the square of the loss's relative
    standard error: that is its noise, and none is estimated. The next point has the largest
    expected improvement over the smallest posterior mean of what was tried. A trial that runs
    counts with its posterior mean, one that diverged with the largest loss.
    """

    def __init__(
        self, search: SearchSpec, *, trial_number: int, standard_errors: Mapping[int, float]
    ) -> None:
        """Takes what is known of the noise.

        Args:
            search: for the sampler's seed and the trials of its random start.
            trial_number: Optuna's.
            standard_errors: of the value of each complete trial, by Optuna's number.
        """
        self._start = search.startup_trials
        self._errors = standard_errors
        self._random = sampler_for(search, trial_number=trial_number, is_random=True)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns what the trials before have drawn; nothing in the random start."""
        del trial
        complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        return {} if len(complete) < self._start else dict(complete[0].distributions)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Returns the point with the largest expected improvement."""
        if not search_space:
            return {}
        names = tuple(search_space)
        values = [_values(distribution) for distribution in search_space.values()]
        candidates = list(itertools.product(*values))
        places = {
            name: {v: n for n, v in enumerate(x)} for name, x in zip(names, values, strict=True)
        }
        points = np.array([_point(dict(zip(names, x, strict=True)), places) for x in candidates])
        tried = [x for x in study.get_trials(deepcopy=False) if _is_tried(x, trial, names)]
        seen = np.array([_point(x.params, places) for x in tried])
        improvement = self._improvement(tried, seen, points)
        # What was tried, or runs, would be passed over.
        improvement[(points[:, None] == seen[None]).all(axis=2).any(axis=1)] = -np.inf
        return dict(zip(names, candidates[int(np.argmax(improvement))], strict=True))

    def _improvement(self, tried: Sequence[FrozenTrial], seen: _Floats, points: _Floats) -> _Floats:
        known = np.array([x.state != TrialState.RUNNING for x in tried])
        logs, noise = self._observed([x for x in tried if x.state != TrialState.RUNNING])
        centre, scale = float(logs.mean()), float(logs.std()) or 1.0
        y, noise = (logs - centre) / scale, noise / scale**2
        kernel = _likeliest(seen[known], y, noise)
        if not known.all():
            believed, _ = _posterior(kernel, seen[known], y, noise, seen[~known])
            order = np.argsort(~known, kind="stable")
            seen = seen[order]
            y = np.concatenate([y, believed])
            noise = np.concatenate([noise, np.zeros(len(believed))])
        at_seen, _ = _posterior(kernel, seen, y, noise, seen)
        mean, deviation = _posterior(kernel, seen, y, noise, points)
        gain = float(at_seen.min()) - mean
        ratio = gain / deviation
        density = np.exp(-0.5 * ratio**2) / np.sqrt(2.0 * np.pi)
        return np.asarray(gain * ndtr(ratio) + deviation * density)

    def _observed(self, tried: Sequence[FrozenTrial]) -> tuple[_Floats, _Floats]:
        """Returns the logarithms of losses and the variances of their noise."""
        worst = max(x.value for x in tried if x.value is not None)
        values = np.array([worst if x.value is None else x.value for x in tried])
        errors = np.array([self._errors.get(x.number, 0.0) for x in tried])
        logs = np.asarray(np.log(values), np.float64)
        return logs, np.asarray((errors / values) ** 2, np.float64)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401 - what the distribution holds
        """Returns a value at random: in the start, and of what no trial has drawn."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def _values(distribution: BaseDistribution) -> tuple[Any, ...]:
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)
    whole = cast("IntDistribution", distribution)
    return tuple(range(whole.low, whole.high + 1))


def _point(params: Mapping[str, Any], places: Mapping[str, Mapping[Any, int]]) -> list[float]:
    """Returns [method, size, rate]; what is not searched is 0."""
    found = {name: places[name][value] for name, value in params.items() if name in places}
    return [
        float(found.get("method", 0)),
        *(found.get(x, 0) / max(1, len(places.get(x, ())) - 1) for x in ("size", "rate")),
    ]


def _is_tried(found: FrozenTrial, own: FrozenTrial, names: Sequence[str]) -> bool:
    """Whether a trial says anything: it is complete, runs or has diverged."""
    states = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.FAIL)
    is_none = bool({REPEATS, REASON} & found.user_attrs.keys())
    is_own = found.number == own.number
    return found.state in states and not is_none and not is_own and set(names) <= {*found.params}


def _factor(kernel: _Kernel, seen: _Floats, noise: _Floats) -> _Floats:
    return np.asarray(np.linalg.cholesky(kernel(seen, seen) + np.diag(noise + _JITTER)), np.float64)


def _likeliest(seen: _Floats, y: _Floats, noise: _Floats) -> _Kernel:
    """Returns the kernel with the largest marginal likelihood."""
    kernels = [_Kernel(*x) for x in itertools.product(_LENGTHS, _METHODS, _SIZES, _VARIANCES)]
    return max(kernels, key=lambda kernel: _log_likelihood(kernel, seen, y, noise))


def _log_likelihood(kernel: _Kernel, seen: _Floats, y: _Floats, noise: _Floats) -> float:
    factor = _factor(kernel, seen, noise)
    solved = cho_solve((factor, True), y)
    return float(-0.5 * y @ solved - np.log(np.diag(factor)).sum())


def _posterior(
    kernel: _Kernel, seen: _Floats, y: _Floats, noise: _Floats, points: _Floats
) -> tuple[_Floats, _Floats]:
    """Returns mean and standard deviation at points, [m] each."""
    factor = _factor(kernel, seen, noise)
    across = kernel(seen, points)
    mean = across.T @ cho_solve((factor, True), y)
    explained = np.einsum("ij,ij->j", across, cho_solve((factor, True), across))
    return np.asarray(mean), np.sqrt(np.maximum(kernel.variance - explained, 1e-12))
