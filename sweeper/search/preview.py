"""The points that a sweep begins with, drawn without a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweeper.experiment.documents.tree import Scalar
from sweeper.experiment.space.space import Point, Space
from sweeper.experiment.sweep import SearchSpec
from sweeper.search.driving.samplers import sampler_for

__all__ = ["preview"]


def preview(space: Space, search: SearchSpec, *, observed: int = 0) -> Iterator[tuple[Point, bool]]:
    """Yields points without an end, and for each whether the sweep is certain to draw it.

    The random start is certain, and so is an enqueued point that leaves nothing out. What a model
    draws after the start depends on results, and a random draw stands in its place.

    Args:
        space: where points come from.
        search: for the number of trials, and the sampler's settings.
        observed: trials of earlier sweeps that the study begins with.
    """
    fixed = space.fixed_points(search.trials)
    number = 0
    while True:
        given = space.labels(fixed[number]) if number < len(fixed) else {}
        drawing = _Drawing(
            sampler_for(search, space=space, trial_number=number, is_random=True), given
        )
        point = space.suggest(drawing)
        yield point, number < search.startup_trials - observed or drawing.is_given
        number += 1


class _Drawing:
    """Draws what a trial of Optuna's draws in the random start of a study."""

    def __init__(
        self, sampler: optuna.samplers.BaseSampler, given: Mapping[str, Scalar | None]
    ) -> None:
        self._sampler = sampler
        self._given = given
        self.is_given = True

    def suggest_categorical(self, name: str, choices: list[Scalar | None]) -> Scalar | None:
        """Returns one of ``choices``."""
        value: Scalar | None = self._draw(name, CategoricalDistribution(choices))
        return value

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Returns a number in [low, high]."""
        return float(self._draw(name, FloatDistribution(low, high, log=log)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        """Returns an integer in [low, high]."""
        return int(self._draw(name, IntDistribution(low, high, step=step)))

    def _draw(self, name: str, distribution: BaseDistribution) -> Any:  # noqa: ANN401 - what the distribution holds
        if name in self._given:
            return self._given[name]
        self.is_given = False
        # A random draw looks at neither study nor trial.
        nothing: Any = None
        return self._sampler.sample_independent(nothing, nothing, name, distribution)
