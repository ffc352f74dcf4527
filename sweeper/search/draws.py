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
    """Returns the trials that a sweep begins with, each in the budget's size.

    Where the sampler's choice depends on results, the trial is an example. The points are those
    that :func:`sweeper.search.study.preview` draws.
    """
    drawn = []
    for number, (point, is_certain) in enumerate(preview(sweep.space, sweep.spec.search)):
        method = sweep.space.method(str(point["method"]))
        origin = origin_of(number, sweep.space)
        drawn.append(DrawnTrial(number, origin, not is_certain, sweep.space.trial(point), method))
    return tuple(drawn)


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
    """Returns the method's fields, the learning rate and the searched fields of training.

    Each has its bare name. A listed trial has its own name among them, and the fields of training
    that it sets stand for the searched ones.

    Args:
        trial: complete, in the budget's size.
        space: the part of the space that the trial is from.
    """
    if space.listed is None:
        name = {}
        own = [axis.path[-1] for axis in space.axes if axis.path[0] == "train"]
    else:
        name = {"trial": space.name}
        own = list(space.listed.train)
    train = trial.train.model_dump(mode="json")
    return {
        **name,
        **trial.method.model_dump(mode="json", exclude={"name"}),
        **{key: train[key] for key in ("learning_rate", *own)},
    }
