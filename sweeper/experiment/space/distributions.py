"""Distributions: what may stand in a search-space file where a field of a trial would stand."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol

from pydantic import Field, JsonValue, model_validator

from sweeper._spec import Spec
from sweeper._text import shorten, written
from sweeper.experiment.documents.tree import Json, Scalar

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
# Up to here a floating-point number, which a sampler draws, can tell whole numbers apart.
_LARGEST_WHOLE = 2**53
# Where between its ends a range is tried, too: the golden section hits no round number.
_BETWEEN = (5**0.5 - 1) / 2
_MANY = 1_000_000


class Suggests(Protocol):
    """The part of ``optuna.Trial`` that a space uses."""

    def suggest_categorical(self, name: str, choices: list[Scalar | None]) -> Scalar | None:
        """Returns one of ``choices``."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Returns a number in [low, high]."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        """Returns an integer in [low, high]."""


class _Listed(Spec):
    """One of some values; a subclass has the field that lists them."""

    def values(self) -> tuple[Json, ...]:
        """Returns every value that can be drawn."""
        raise AssertionError("abstract")

    def candidates(self) -> tuple[Json, ...]:
        """Returns what a field is checked at: every value."""
        return self.values()

    def suggest(self, trial: Suggests, name: str) -> Json:
        """Returns a value drawn by the sampler, or the one that was enqueued for this trial."""
        return self.value(trial.suggest_categorical(name, [*self._labels]))

    def value(self, label: Json) -> Json:
        """Returns the value that a label stands for."""
        return json.loads(str(label)) if self._is_labelled else label

    def label(self, value: Json) -> Scalar | None:
        """Returns what stands for a value in Optuna's study, which keeps no lists and mappings."""
        if self._is_labelled:
            return json.dumps(value, sort_keys=True)
        assert not isinstance(value, list | dict)
        return value

    @functools.cached_property
    def _labels(self) -> tuple[Scalar | None, ...]:
        return tuple(map(self.label, self.values()))

    @functools.cached_property
    def _is_labelled(self) -> bool:
        return any(isinstance(value, list | dict) for value in self.values())

    def contains(self, value: Json) -> bool:
        """Returns whether ``value`` can be drawn."""
        return value in self.values()


class Choice(_Listed):
    """One of a few values: ``{choice: [2, 4, 8]}``.

    ``null``, lists and mappings are values, too, where the field takes them:
    ``{choice: [null, 16]}`` and ``{choice: [[q_proj], [q_proj, v_proj]]}``.
    """

    choice: tuple[JsonValue, ...] = Field(min_length=1)
    """The values."""

    @model_validator(mode="after")
    def _values_are_distinct(self) -> Choice:
        _refuse_repeats(self.choice)
        return self

    def values(self) -> tuple[Json, ...]:
        """Returns every value that can be drawn."""
        return self.choice


class Grid(_Listed):
    """Each of a few values, equally often: ``{grid: [a, b, both, none]}``.

    The combinations of all grids of a method are taken in turn; the rest of the point is sampled.
    """

    grid: tuple[JsonValue, ...] = Field(min_length=1)
    """The values."""

    @model_validator(mode="after")
    def _values_are_distinct(self) -> Grid:
        _refuse_repeats(self.grid)
        return self

    def values(self) -> tuple[Json, ...]:
        """Returns every value that can be drawn."""
        return self.grid


class _Number(Spec):
    """A number, which stands for itself in Optuna's study."""

    def value(self, label: Json) -> Json:
        """Returns the number."""
        return label

    def label(self, value: Json) -> Scalar | None:
        """Returns the value."""
        assert not isinstance(value, list | dict)
        return value


class _Range(_Number):
    """A number between two ends; a subclass says how it is drawn."""

    def _bounds(self) -> tuple[float, float]:
        raise AssertionError("abstract")

    def _between(self) -> float:
        low, high = self._bounds()
        return low + (high - low) * _BETWEEN

    def candidates(self) -> tuple[Json, ...]:
        """Returns what a field is checked at: the two ends, and a fraction between them."""
        return (*self._bounds(), self._between())

    def values(self) -> None:
        """Returns None: there are infinitely many."""

    def contains(self, value: Json) -> bool:
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

    def suggest(self, trial: Suggests, name: str) -> Json:
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
            raise ValueError(
                f"{list(self.loguniform)} starts at {self.loguniform[0]}; a logarithm needs a low "
                "above 0; give one, or draw by uniform"
            )
        return self

    def _bounds(self) -> tuple[float, float]:
        return self.loguniform

    def _between(self) -> float:
        low, high = self.loguniform
        return float(low * (high / low) ** _BETWEEN)

    def suggest(self, trial: Suggests, name: str) -> Json:
        """Returns a value drawn by the sampler."""
        return trial.suggest_float(name, *self.loguniform, log=True)


class IntRange(_Number):
    """A whole number between two: ``{int: [2, 6]}`` or ``{int: [2, 6], step: 2}``."""

    bounds: tuple[int, int] = Field(alias="int")
    """Lowest and highest value, both included, from -2**53 to 2**53."""
    step: Annotated[int, Field(ge=1)] = 1
    """Distance between neighbouring values."""

    @model_validator(mode="after")
    def _ends_are_in_order(self) -> IntRange:
        if max(map(abs, self.bounds)) > _LARGEST_WHOLE:
            raise ValueError(f"{list(self.bounds)} has an end beyond 2**53; give smaller numbers")
        _refuse_disorder(*self.bounds)
        if (self.bounds[1] - self.bounds[0]) % self.step:
            raise ValueError(
                f"step {self.step} does not lead from {self.bounds[0]} to {self.bounds[1]}; "
                "give an end that it reaches"
            )
        return self

    def candidates(self) -> tuple[Json, ...]:
        """Returns every value where there are few, else the two ends and some between them."""
        values = range(self.bounds[0], self.bounds[1] + 1, self.step)
        if len(values) <= _FEW:
            return tuple(values)
        # The second one is odd where the first is even.
        return (values[0], values[-1], values[1], values[int(len(values) * _BETWEEN)])

    def values(self) -> Sequence[Json] | None:
        """Returns every value that can be drawn; None where they are too many to be listed."""
        if (self.bounds[1] - self.bounds[0]) // self.step >= _MANY:
            return None
        return range(self.bounds[0], self.bounds[1] + 1, self.step)

    def suggest(self, trial: Suggests, name: str) -> Json:
        """Returns a value drawn by the sampler."""
        return trial.suggest_int(name, *self.bounds, step=self.step)

    def contains(self, value: Json) -> bool:
        """Returns whether ``value`` can be drawn."""
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
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


def _refuse_repeats(values: tuple[Json, ...]) -> None:
    # 1 == True == 1.0 in Python, but they are different choices; their texts are different, too.
    seen = {json.dumps(value, sort_keys=True) for value in values}
    if len(seen) < len(values):
        raise ValueError(f"{shorten(written(list(values)))} names a value twice; give each once")


def _refuse_disorder(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"[{low}, {high}] has an end that is not finite; give two numbers")
    if low >= high:
        raise ValueError(f"[{low}, {high}] is empty; give [low, high] with low below high")
    if not math.isfinite(high - low):
        raise ValueError(f"[{low}, {high}] is wider than any number; give ends that are nearer")
