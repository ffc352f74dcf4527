"""The trials that a sweep suggests, in their order: baselines, the grid, the search's draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sweeper.experiment.space.space import MethodSpace, Space
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.search.study import preview

__all__ = ["DrawnTrial", "Origin", "draw_all", "origin_of", "params_of"]


Origin = Literal["baseline", "grid", "search"]
"""Who suggested a trial."""


@dataclass(frozen=True)
class DrawnTrial:
    """One trial that a sweep would run."""

    number: int
    """Place in the order of suggestion, from 0."""
    origin: Origin
    """Who suggested it."""
    is_example: bool
    """Whether the sampler's choice depends on results, so that this trial only stands in for it."""
    spec: TrialSpec
    """What would be trained."""
    space: MethodSpace
    """The part of the space that it is from."""


def draw_all(sweep: Sweep) -> tuple[DrawnTrial, ...]:
    """Returns the trials that a sweep begins with, and for those that depend on results examples.

    They are what :func:`sweeper.search.study.preview` draws, each in the budget's size.
    """
    found = []
    for number, (point, is_certain) in enumerate(preview(sweep.space, sweep.spec.search)):
        method = sweep.space.method(str(point["method"]))
        origin = origin_of(number, sweep.space)
        found.append(DrawnTrial(number, origin, not is_certain, sweep.space.trial(point), method))
    return tuple(found)


def origin_of(number: int, space: Space) -> Origin:
    """Returns who suggests the trial of this number: baselines, then the grid, else the search.

    Args:
        number: place in the order of suggestion, from 0.
        space: of the sweep.
    """
    if number < len(space.baselines):
        return "baseline"
    return "grid" if space.cells() else "search"


def params_of(trial: TrialSpec, space: MethodSpace) -> dict[str, Any]:
    """Returns the method's fields and the searched fields of training, by their bare names.

    A listed trial is called by its name, and what it sets of training is among them.
    """
    params = trial.method.model_dump(mode="json", exclude={"name"})
    train = trial.train.model_dump(mode="json")
    searched = [axis.path[-1] for axis in space.axes if axis.path[0] == "train"]
    name = {}
    if space.listed is not None:
        name = {"trial": space.name}
        searched = list(space.listed.train)
    return {
        **name,
        **params,
        "learning_rate": train["learning_rate"],
        **{key: train[key] for key in searched},
    }
