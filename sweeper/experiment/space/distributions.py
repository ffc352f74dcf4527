"""Distributions: what may stand in a search-space file where a field of a trial would stand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol

from pydantic import Field, model_validator

from sweeper._spec import Spec
from sweeper.experiment.documents.tree import Scalar

__all__ = [
    "DISTRIBUTIONS",
    "Choice",
    "Distribution",
    "Grid",
    "IntRange",
    "LogUniform",
    "Suggests",
    "Uniform",
]

_FEW = 64
_MANY = 1_000_000


class Suggests(Protocol):
    """The part of ``optuna.Trial`` that a space uses."""

    def suggest_categorical(self, name: str, choices: list[Scalar]) -> Scalar:
        """Returns one of ``choices``."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Returns a number in [low, high]."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        """Returns an integer in [low, high]."""


class Choice(Spec):
    """One of a few values: ``{choice: [2, 4, 8]}``."""

    choice: tuple[Scalar, ...] = Field(min_length=1)
    """The values."""

    @model_validator(mode="after")
    def _values_are_distinct(self) -> Choice:
        _refuse_repeats(self.choice)
        return self

    def candidates(self) -> tuple[Scalar, ...]:
        """Returns every value that can be drawn."""
        return self.choice

    def values(self) -> Sequence[Scalar]:
        """Returns every value that can be drawn."""
        return self.choice

    def suggest(self, trial: Suggests, name: str) -> Scalar:
        """Returns a value drawn by the sampler."""
        return trial.suggest_categorical(name, list(self.choice))

    def contains(self, value: Scalar) -> bool:
        """Returns whether ``value`` can be drawn."""
        return value in self.choice


class Grid(Spec):
    """Each of a few values, equally often: ``{grid: [a, b, both, none]}``.

    The combinations of all grids of a method are taken in turn; the rest of the point is sampled.
    """

    grid: tuple[Scalar, ...] = Field(min_length=1)
    """The values."""

    @model_validator(mode="after")
    def _values_are_distinct(self) -> Grid:
        _refuse_repeats(self.grid)
        return self

    def candidates(self) -> tuple[Scalar, ...]:
        """Returns every value that can be drawn."""
        return self.grid

    def values(self) -> Sequence[Scalar]:
        """Returns every value that can be drawn."""
        return self.grid

    def suggest(self, trial: Suggests, name: str) -> Scalar:
        """Returns the value that was enqueued for this trial."""
        return trial.suggest_categorical(name, list(self.grid))

    def contains(self, value: Scalar) -> bool:
        """Returns whether ``value`` can be drawn."""
        return value in self.grid


class _Range(Spec):
    """A number between two ends; a subclass says how it is drawn."""

    def _bounds(self) -> tuple[float, float]:
        raise AssertionError("abstract")

    def candidates(self) -> tuple[Scalar, ...]:
        """Returns the two ends: a field is checked at both."""
        return self._bounds()

    def values(self) -> None:
        """Returns None: there are infinitely many."""

    def contains(self, value: Scalar) -> bool:
        """Returns whether ``value`` can be drawn."""
        low, high = self._bounds()
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        )


class Uniform(_Range):
    """A number between two, all equally likely: ``{uniform: [0.0, 0.1]}``."""

    uniform: tuple[float, float]
    """Lowest and highest value, both included."""

    @model_validator(mode="after")
    def _ends_are_in_order(self) -> Uniform:
        _refuse_disorder(*self.uniform)
        return self

    def _bounds(self) -> tuple[float, float]:
        return self.uniform

    def suggest(self, trial: Suggests, name: str) -> Scalar:
        """Returns a value drawn by the sampler."""
        return trial.suggest_float(name, *self.uniform, log=False)


class LogUniform(_Range):
    """A number above 0, equally likely in its logarithm: ``{loguniform: [1e-5, 1e-2]}``."""

    loguniform: tuple[float, float]
    """Lowest and highest value, both included and positive."""

    @model_validator(mode="after")
    def _ends_are_in_order(self) -> LogUniform:
        _refuse_disorder(*self.loguniform)
        if self.loguniform[0] <= 0:
            raise ValueError(f"starts at {self.loguniform[0]}; a logarithm needs a low above 0")
        return self

    def _bounds(self) -> tuple[float, float]:
        return self.loguniform

    def suggest(self, trial: Suggests, name: str) -> Scalar:
        """Returns a value drawn by the sampler."""
        return trial.suggest_float(name, *self.loguniform, log=True)


class IntRange(Spec):
    """A whole number between two: ``{int: [2, 6]}`` or ``{int: [2, 6], step: 2}``."""

    bounds: tuple[int, int] = Field(alias="int")
    """Lowest and highest value, both included."""
    step: Annotated[int, Field(ge=1)] = 1
    """Distance between neighbouring values."""

    @model_validator(mode="after")
    def _ends_are_in_order(self) -> IntRange:
        _refuse_disorder(*self.bounds)
        if (self.bounds[1] - self.bounds[0]) % self.step:
            raise ValueError(
                f"step {self.step} does not lead from {self.bounds[0]} to {self.bounds[1]}; "
                "give an end that it reaches"
            )
        return self

    def candidates(self) -> tuple[Scalar, ...]:
        """Returns every value where there are few, else the two ends."""
        values = self.values()
        if values is None or len(values) > _FEW:
            return self.bounds
        return tuple(values)

    def values(self) -> Sequence[Scalar] | None:
        """Returns every value that can be drawn; None where they are too many to be listed."""
        if (self.bounds[1] - self.bounds[0]) // self.step >= _MANY:
            return None
        return range(self.bounds[0], self.bounds[1] + 1, self.step)

    def suggest(self, trial: Suggests, name: str) -> Scalar:
        """Returns a value drawn by the sampler."""
        return trial.suggest_int(name, *self.bounds, step=self.step)

    def contains(self, value: Scalar) -> bool:
        """Returns whether ``value`` can be drawn."""
        return (
            not isinstance(value, bool | float | str)
            and self.bounds[0] <= value <= self.bounds[1]
            and (value - self.bounds[0]) % self.step == 0
        )


Distribution = Choice | Grid | Uniform | LogUniform | IntRange
DISTRIBUTIONS: Mapping[str, type[Choice | Grid | Uniform | LogUniform | IntRange]] = {
    "choice": Choice,
    "grid": Grid,
    "uniform": Uniform,
    "loguniform": LogUniform,
    "int": IntRange,
}


def _refuse_repeats(values: tuple[Scalar, ...]) -> None:
    # 1 == True == 1.0 in Python, but they are different choices.
    seen = {(type(value), value) for value in values}
    if len(seen) < len(values):
        raise ValueError(f"{list(values)} names a value twice; give each once")


def _refuse_disorder(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"[{low}, {high}] has an end that is not finite; give two numbers")
    if low >= high:
        raise ValueError(f"[{low}, {high}] is empty; give [low, high] with low below high")
