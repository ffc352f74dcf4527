"""The sampler of each trial."""

from __future__ import annotations

import warnings
from typing import Protocol

import optuna

from sweeper.experiment.space.space import Space
from sweeper.experiment.sweep import SearchSpec
from sweeper.search.driving.tpe import ShownSampler

__all__ = ["MakeSampler", "sampler_for"]


def sampler_for(
    search: SearchSpec, *, space: Space, trial_number: int, is_random: bool = False
) -> optuna.samplers.BaseSampler:
    """Returns the sampler of one trial.

    It is seeded by the sweep's seed and the trial's number: a resumed sweep draws what an
    uninterrupted one would have drawn, not its first numbers again.

    Args:
        search: for the sampler's settings.
        space: where points come from.
        trial_number: Optuna's.
        is_random: whether results do not matter.
    """
    seed = (search.seed * 1_000_003 + trial_number) % 2**32
    if is_random or search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if search.sampler == "gp":
        # It needs parts of SciPy that take a while to import.
        from sweeper.search.gaussian import GaussianSampler

        return GaussianSampler(space, startup=search.startup_trials, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return ShownSampler(
            multivariate=True,
            group=True,
            constant_liar=True,
            n_startup_trials=search.startup_trials,
            seed=seed,
        )


class MakeSampler(Protocol):
    """What makes the sampler of one trial, as :func:`sampler_for` does."""

    def __call__(
        self, search: SearchSpec, *, space: Space, trial_number: int, is_random: bool = False
    ) -> optuna.samplers.BaseSampler:
        """Returns the sampler."""
