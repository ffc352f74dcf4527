"""Samplers that know where a method's best learning rate usually lies.

The first trial of a method starts at the rate that is expected of it, in whatever size was drawn.
What is expected was learned elsewhere: from the table's other sizes, and from its other seeds where
it has any. Later trials are drawn as without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from benchmarks.curves.table import CurveTable
from sweeper.experiment.space.space import Space
from sweeper.experiment.sweep import SearchSpec
from sweeper.search.driving.samplers import MakeSampler

__all__ = ["Informed", "expected_rates", "informed", "mean_rates"]

Rates = Mapping[tuple[str, int], int]
"""By method and size, the place of the rate in the table's list."""


def expected_rates(table: CurveTable, *, seed: int) -> Rates:
    """Returns the rate that is expected of each method at each size.

    Args:
        table: with at least two sizes.
        seed: of the table, the one that the search sees, from 0.
    """
    about = table.about
    others = [x for x in range(len(about.seeds)) if x != seed] or [seed]
    found = {}
    for number, method in enumerate(about.methods):
        for size in range(len(about.ranks)):
            means = [
                _mean(table, number, but=size, rate=rate, seeds=others)
                for rate in range(len(about.rates))
            ]
            found[method, size] = int(np.argmin(means))
    return found


def _mean(table: CurveTable, method: int, *, but: int, rate: int, seeds: list[int]) -> float:
    """Returns the mean loss at the end over other sizes and seeds; infinite where one diverged."""
    sizes = [x for x in range(len(table.about.ranks)) if x != but]
    places = [table.trials.get(((method, size, rate), seed)) for size in sizes for seed in seeds]
    losses = [float(table.losses[x, -1]) for x in places if x is not None]
    return float(np.mean(losses)) if losses and np.isfinite(losses).all() else float("inf")


def mean_rates(rates: Rates) -> dict[str, float]:
    """Returns the place of the rate that is expected of each method, the mean over its sizes."""
    found: dict[str, list[int]] = {}
    for (method, _), place in rates.items():
        found.setdefault(method, []).append(place)
    return {method: float(np.mean(places)) for method, places in found.items()}


class Informed(optuna.samplers.BaseSampler):
    """Another sampler, but for the learning rate of a method's first trial."""

    def __init__(self, own: optuna.samplers.BaseSampler, rates: Rates) -> None:
        """Wraps a sampler.

        Args:
            own: draws everything else.
            rates: that are expected.
        """
        self._own = own
        self._rates = rates

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns the other sampler's."""
        return self._own.infer_relative_search_space(study, trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Returns the other sampler's point, at the expected rate where the method is new."""
        found = self._own.sample_relative(study, trial, search_space)
        if "rate" not in found:
            return found
        return {**found, "rate": self._rate(study, trial, {**trial.params, **found})}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401 - what the distribution holds
        """Returns the other sampler's value; of a new method's rate, the expected one."""
        drawn = self._own.sample_independent(study, trial, param_name, param_distribution)
        if param_name != "rate":
            return drawn
        return self._rate(study, trial, {**trial.params, "rate": drawn})

    def _rate(self, study: optuna.Study, own: FrozenTrial, drawn: Mapping[str, Any]) -> int:
        method = drawn.get("method")
        begun = study.get_trials(deepcopy=False)
        is_new = all(x.params.get("method") != method for x in begun if x.number != own.number)
        expected = self._rates.get((str(method), int(drawn.get("size", 0))))
        return expected if is_new and expected is not None else int(drawn["rate"])


def informed(make: MakeSampler, rates: Rates) -> MakeSampler:
    """Returns what makes a search's samplers, each of which knows the expected rates.

    Args:
        make: makes the samplers that draw everything else.
        rates: that are expected.
    """

    def made(
        search: SearchSpec, *, space: Space, trial_number: int, is_random: bool = False
    ) -> optuna.samplers.BaseSampler:
        own = make(search, space=space, trial_number=trial_number, is_random=is_random)
        return Informed(own, rates)

    return made
