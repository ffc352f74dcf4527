"""The space of trials: where a field of a trial would stand, a distribution may stand.

A space is one tree per method, in the form of a :class:`~sweeper.experiment.trial.TrialSpec`, in
which some leaves are distributions. Its *points* are flat: ``{"method": "masa", "masa.experts": 5,
"train.learning_rate": 1e-3}``. Parameters of a method carry the method's name, so that they exist
only where the method was chosen: that makes the space conditional, and define-by-run for Optuna.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sweeper.experiment.documents.tree import Document, Json, Scalar, set_path
from sweeper.experiment.space.budget import Budget, fit_to_budget
from sweeper.experiment.space.distributions import Distribution, Grid, Suggests
from sweeper.experiment.space.epochs import with_steps
from sweeper.experiment.space.listed import DesignedTrial, ListedTrial
from sweeper.experiment.space.rates import (
    RatePrior,
    is_auto,
    packaged_prior,
    with_expected_rate,
    with_stand_in,
)
from sweeper.experiment.trial import TrialSpec

__all__ = ["LISTED_POINTS", "RATE", "Axis", "MethodSpace", "Point", "Space"]

Point = dict[str, Json]

RATE = ("train", "learning_rate")
"""Where a trial has its learning rate."""
LISTED_POINTS = 2000
"""Points up to which a search lists a space whole: to find those that were not tried, and to choose
the next one among all."""


@dataclass(frozen=True)
class Axis:
    """One searched field."""

    name: str
    """Its name in a point, for example ``masa.experts``."""
    path: tuple[str, ...]
    """Where it stands in a trial, for example ``("method", "experts")``."""
    distribution: Distribution
    """What it is drawn from."""


@dataclass(frozen=True)
class MethodSpace:
    """One method's tree, its searched fields cut out; or a listed trial's, in which none is."""

    name: str
    """The method's name, or the listed trial's: the value of ``method`` in a point."""
    tree: dict[str, Json]
    """A trial's fields, without those of ``axes``."""
    axes: tuple[Axis, ...]
    """The searched fields."""
    listed: ListedTrial | None = None
    """What the file says of a listed trial; None where the file has methods."""
    designed: DesignedTrial | None = None
    """What a design says of its trial; None where the file has no design."""

    @property
    def path(self) -> tuple[str, ...]:
        """Where its method stands in the file; of a design's trial, which configuration's it is."""
        if self.designed is not None:
            return ("design", self.designed.configuration, "method")
        return ("methods", self.name) if self.listed is None else ("trials", self.name, "method")

    def place(self, path: Sequence[str]) -> str:
        """Returns where a field stands in the search-space file.

        Args:
            path: where the field stands in a trial, for example ``("method", "experts")``.
        """
        if path[0] == "method":
            return ".".join((*self.path, *path[1:]))
        # Training is the file's, except for the fields that a listed trial sets for itself.
        if path[0] == "train" and self.listed is not None and path[-1] in self.listed.train:
            return ".".join((*self.path[:-1], *path))
        return ".".join(path)


@dataclass(frozen=True)
class Space:
    """All trials that a sweep may run."""

    methods: tuple[MethodSpace, ...]
    baselines: tuple[Point, ...] = ()
    """Points that are run first; what a baseline leaves out is sampled."""
    budget: Budget | None = None
    """What every trial is sized to, after its point was drawn."""
    start_rates: Mapping[str, float] = field(default_factory=dict)
    """The learning rate of each method's first point, by name, of those that search theirs."""
    prior: RatePrior = field(default_factory=packaged_prior)
    """What is expected of learning rates: that of the package, or the one a sweep began with."""

    def method(self, name: str) -> MethodSpace:
        """Returns the space of the method, or the listed trial, called ``name``."""
        return next(method for method in self.methods if method.name == name)

    def suggest(self, trial: Suggests, known: Mapping[str, Json] | None = None) -> Point:
        """Returns the point that an Optuna trial draws (define-by-run).

        Args:
            trial: is asked for what is not known.
            known: values of the point that are not drawn, in the space or outside of it.
        """
        known = known or {}
        names: list[Scalar | None] = [method.name for method in self.methods]
        name: Json = known.get("method", names[0])
        if "method" not in known and len(names) > 1:
            name = trial.suggest_categorical("method", names)
        point: Point = {"method": name}
        for axis in self.method(str(name)).axes:
            is_drawn = axis.name not in known
            value = axis.distribution.suggest(trial, axis.name) if is_drawn else known[axis.name]
            point[axis.name] = value
        return point

    def trial(self, point: Mapping[str, Json]) -> TrialSpec:
        """Returns the trial at a point, in the budget's size; the point must be complete.

        A rate that is ``auto`` is the one that is expected to be best in this size.
        """
        tree = self.tree(point)
        trial = TrialSpec.model_validate(with_stand_in(tree))
        if trial.method.hangs_on_shape:
            resolved = trial.method.resolved(trial.model.shape())
            trial = trial.model_copy(update={"method": resolved})
        if self.budget is not None:
            method = fit_to_budget(self.budget, trial.method, trial.model.shape())
            trial = trial.model_copy(update={"method": method})
        return with_expected_rate(trial, self.prior) if is_auto(tree) else trial

    def tree(self, point: Mapping[str, Json]) -> Document:
        """Returns the trial at a point, before it is checked."""
        method = self.method(str(point["method"]))
        tree: Json = method.tree
        for axis in method.axes:
            tree = set_path(tree, axis.path, point[axis.name])
        assert isinstance(tree, dict)
        return with_steps(tree)

    @property
    def cell_count(self) -> int:
        """How many combinations all grids have, method by method; 0 where there is no grid."""
        grids = [_grids(method) for method in self.methods]
        if not any(grids):
            return 0
        return sum(math.prod(len(axis.distribution.values() or ()) for axis in x) for x in grids)

    def cells(self, *, most: int) -> tuple[Point, ...]:
        """Returns the first combinations of all grids, method by method; none without a grid."""
        return tuple(itertools.islice(self._cells(), most if self.cell_count else 0))

    def _cells(self) -> Iterator[Point]:
        for method in self.methods:
            grids = _grids(method)
            names = ("method", *(axis.name for axis in grids))
            values = (axis.distribution.candidates() for axis in grids)
            for cell in itertools.product((method.name,), *values):
                yield dict(zip(names, cell, strict=True))

    def fixed_points(self, trials: int) -> tuple[Point, ...]:
        """Returns the (partial) points that are enqueued, as many as there are trials at most.

        They are the baselines, then the grid in turn, or, without one, a start of each method that
        no baseline is of. The first of each method starts at its rate, where it leaves that out.
        """
        alone = () if self.cell_count else self.starts
        cells = self.cells(most=trials)
        points = itertools.chain(self.baselines, alone, itertools.cycle(cells))
        started: set[str] = set()
        return tuple(self._started(x, started) for x in itertools.islice(points, trials))

    @property
    def starts(self) -> tuple[Point, ...]:
        """A point of each method whose rate has a start, and which no baseline is of."""
        named = {point.get("method") for point in self.baselines}
        return tuple({"method": name} for name in self.start_rates if name not in named)

    def _started(self, point: Point, started: set[str]) -> Point:
        """Returns a point with its method's rate, if it is the first of its method without one."""
        name = str(point.get("method"))
        rate = None if name in started else self.start_rates.get(name)
        started.add(name)
        if rate is None:
            return point
        axis = next(x for x in self.method(name).axes if x.path == RATE)
        return {**point, axis.name: point.get(axis.name, rate)}

    def labels(self, point: Mapping[str, Json]) -> dict[str, Scalar | None]:
        """Returns a (partial) point as Optuna's study has it, to be enqueued there."""
        axes = {x.name: x.distribution for method in self.methods for x in method.axes}
        values = {key: axes[key].label(value) for key, value in point.items() if key in axes}
        return {"method": str(point["method"]), **values} if "method" in point else values

    def points(self, *, most: int) -> tuple[Point, ...] | None:
        """Returns all points; None where there are more than ``most``, or infinitely many."""
        found: list[Point] = []
        for method in self.methods:
            values = [axis.distribution.values() for axis in method.axes]
            countable = [of_axis for of_axis in values if of_axis is not None]
            if len(countable) < len(values):
                return None
            if len(found) + math.prod(len(of_axis) for of_axis in countable) > most:
                return None
            names = ("method", *(axis.name for axis in method.axes))
            points = itertools.product((method.name,), *countable)
            found.extend(dict(zip(names, point, strict=True)) for point in points)
        return tuple(found)

    def any_trial(self) -> TrialSpec:
        """Returns a trial of the space, for what all trials have in common."""
        _, point = next(iter(self.corners()))
        return self.trial(point)

    def corners(self) -> Iterator[tuple[Axis | None, Point]]:
        """Yields points that show every value of each axis, with the axis that varies."""
        for method in self.methods:
            first: Point = {"method": method.name}
            first.update({axis.name: axis.distribution.candidates()[0] for axis in method.axes})
            yield None, first
            for axis in method.axes:
                for value in axis.distribution.candidates()[1:]:
                    yield axis, {**first, axis.name: value}


def _grids(method: MethodSpace) -> tuple[Axis, ...]:
    return tuple(axis for axis in method.axes if isinstance(axis.distribution, Grid))
