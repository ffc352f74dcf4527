"""The trials that a sweep suggests, in their order: baselines, the grid, the search's draws."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from sweeper._text import shorten
from sweeper.errors import BadInputError, SpecError
from sweeper.experiment.checks import require_trial
from sweeper.experiment.space.epochs import EPOCH_FIELDS
from sweeper.experiment.space.space import LISTED_POINTS, MethodSpace, Space
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.search.preview import preview
from sweeper.search.suggestions import MANY_REPEATS

__all__ = [
    "MOST_DRAWN",
    "DrawnTrial",
    "Origin",
    "count_trials",
    "draw_all",
    "origin_of",
    "params_of",
]

MOST_DRAWN = 300
"""Trials of a search that are drawn before it begins."""

Origin = Literal["baseline", "design", "grid", "start", "search"]
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


def draw_all(sweep: Sweep, *, observed: int = 0) -> tuple[DrawnTrial, ...]:
    """Returns the trials that a sweep begins with, each in the budget's size.

    They are all trials of a short sweep, all that are listed, and the first ones of a long search.
    Where the sampler's choice depends on results, the trial is an example. The points are those
    that :func:`sweeper.search.preview.preview` draws; what is no trial or repeats one is passed
    over, as :meth:`sweeper.search.suggestions.Suggestions.next` does.

    Args:
        sweep: what would run.
        observed: trials of earlier sweeps that the study begins with.

    Raises:
        BadInputError: no point of the space is a trial.
    """
    space = sweep.space
    drawn: list[DrawnTrial] = []
    known: set[str] = set()
    count = min(sweep.spec.search.trials, max(MOST_DRAWN, len(space.baselines)))
    passed_over, reason = 0, ""
    points = preview(space, sweep.spec.search, observed=observed)
    for number, (point, is_certain) in enumerate(points):
        if len(drawn) == count or passed_over == MANY_REPEATS:
            break
        method = space.method(str(point["method"]))
        passed_over += 1
        try:
            trial = require_trial(space, point)
        except SpecError as error:
            reason = "; ".join(map(str, error.problems))
            continue
        # What is listed twice is counted twice.
        if method.listed or trial.identity() not in known:
            passed_over = 0
            known.add(trial.identity())
            origin = origin_of(number, space)
            drawn.append(DrawnTrial(number, origin, not is_certain, trial, method))
    if not drawn:
        message = f"no point that was drawn of the space is a trial: {shorten(reason, limit=600)}"
        raise BadInputError(f"{message}; narrow the space, so that its values go together")
    return tuple(drawn)


def count_trials(sweep: Sweep) -> int:
    """Returns how many trials a sweep has: those asked for, or all of a space with fewer.

    Args:
        sweep: what would run.
    """
    space, asked = sweep.space, sweep.spec.search.trials
    points = space.points(most=LISTED_POINTS)
    # What is listed twice is counted twice.
    if points is None or len(points) >= asked or space.methods[0].listed is not None:
        return asked
    found: set[str] = set()
    for point in points:
        with suppress(SpecError):
            found.add(require_trial(space, point).identity())
    return len(found)


def origin_of(number: int, space: Space) -> Origin:
    """Returns who suggests the trial of this number: baselines, then the grid, else the search.

    Without a grid the search starts with a trial of each method at the rate expected of it.

    All trials of a design are the design's.

    Args:
        number: place in the order of suggestion, from 0.
        space: of the sweep.
    """
    if space.methods[0].designed is not None:
        return "design"
    if number < len(space.baselines):
        return "baseline"
    if space.cell_count:
        return "grid"
    return "start" if number < len(space.baselines) + len(space.starts) else "search"


def params_of(trial: TrialSpec, space: MethodSpace) -> dict[str, Any]:
    """Returns the method's fields, the learning rate and the searched fields of training.

    Each has its bare name. A listed trial has its own name among them, and the fields of training
    that it sets stand for the searched ones. A trial of a design has its configuration, and its
    seed, by which a table of trials can be grouped.

    Args:
        trial: complete, in the budget's size.
        space: the part of the space that the trial is from.
    """
    if space.designed is not None:
        name = {"configuration": space.designed.configuration}
        own = [*(space.listed.train if space.listed else ())]
    elif space.listed is None:
        name = {}
        own = [axis.path[-1] for axis in space.axes if axis.path[0] == "train"]
    else:
        name = {"trial": space.name}
        own = list(space.listed.train)
    train = trial.train.model_dump(mode="json")
    # What changes nothing is not written. A trial has steps, where the file has epochs.
    own = ["steps" if key in EPOCH_FIELDS else key for key in own]
    return {
        **name,
        **trial.method.parameters(),
        **{key: train.get(key, getattr(trial.train, key)) for key in ("learning_rate", *own)},
    }
