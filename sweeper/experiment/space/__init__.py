"""The space of trials: what is searched, what is listed, and the size that all trials share."""

from __future__ import annotations

from sweeper.experiment.space.budget import Budget
from sweeper.experiment.space.distributions import Distribution, Grid
from sweeper.experiment.space.listed import ListedTrial, Published
from sweeper.experiment.space.space import Axis, MethodSpace, Point, Space

__all__ = [
    "Axis",
    "Budget",
    "Distribution",
    "Grid",
    "ListedTrial",
    "MethodSpace",
    "Point",
    "Published",
    "Space",
]
