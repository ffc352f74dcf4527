"""Fields that a design varies, and the arms that come of their levels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from pydantic import Field, JsonValue

from sweeper._spec import Spec
from sweeper._text import count, shorten
from sweeper.experiment.design.arms import Arm, control_of
from sweeper.experiment.design.base import DesignFile, DesignSpec
from sweeper.experiment.design.plan import Factor
from sweeper.experiment.documents.tree import Json, set_path

__all__ = ["FactorDesign", "Factors", "cells_of", "is_same", "with_levels"]


class Factors(Spec):
    """The fields that are varied, where they stand in a trial, each with its values."""

    method: dict[str, tuple[JsonValue, ...]] = Field(default={})
    """Fields of the method: ``{group_size: [1, 2, 4]}``."""
    train: dict[str, tuple[JsonValue, ...]] = Field(default={})
    """Fields of training: ``{learning_rate: [1e-3, 3e-3]}``."""

    def all(self) -> tuple[Factor, ...]:
        """Returns the factors, those of the method first."""
        found = [("method", self.method), ("train", self.train)]
        return tuple(
            Factor((section, field), tuple(levels))
            for section, fields in found
            for field, levels in fields.items()
        )


class FactorDesign(DesignSpec):
    """A design that varies fields of one method."""

    factors: Factors = Field(default=Factors())
    """The fields that are varied, and their values."""

    def problems(self, file: DesignFile) -> Iterator[tuple[str, str]]:
        """Yields (field, message) for all that is wrong with the design of a file."""
        yield from super().problems(file)
        if not self.factors.all():
            yield (
                "design.factors",
                "nothing is varied, so that there are no two things to compare; give the fields "
                "and their values, such as {method: {group_size: [1, 2, 4]}}",
            )
        for factor in self.factors.all():
            yield from _factor_problems(factor)

    def _one_method(self, file: DesignFile, kind: str) -> Iterator[tuple[str, str]]:
        if len(file.arms) != 1:
            yield (
                "methods",
                f"are {count(len(file.arms), 'method')}; a design {kind} varies one method; leave "
                "one, or compare methods with each other in a design paired",
            )


def is_same(level: Json, value: object) -> bool:
    """Returns whether a value of a file is a field's value: 1 is 1.0, and is not True."""
    # YAML has lists where a spec has tuples.
    plain = list(value) if isinstance(value, tuple) else value
    return level == plain and isinstance(level, bool) == isinstance(plain, bool)


def with_levels(arm: Arm, factors: Sequence[Factor], values: Sequence[Json]) -> Arm:
    """Returns an arm with values of factors put in their places."""
    entry: Json = arm.entry
    for factor, value in zip(factors, values, strict=True):
        entry = set_path(entry, factor.path, value)
    assert isinstance(entry, dict)
    return Arm(arm.name, entry, arm.controls)


def cells_of(
    arm: Arm, factors: Sequence[Factor], *, has_control: bool, is_sized: bool
) -> Iterator[tuple[Arm, dict[str, Json]]]:
    """Yields every combination of factors of an arm with its levels, and then its control arm.

    The control arm is that of the first combination of the method's fields; fields of training are
    varied in it, too.

    Args:
        arm: of the file.
        factors: what is varied.
        has_control: whether a control arm that is owed is added.
        is_sized: whether a budget sets the sizes.
    """
    names = [factor.name for factor in factors]
    for values in itertools.product(*(factor.levels for factor in factors)):
        yield with_levels(arm, factors, values), dict(zip(names, values, strict=True))
    of_method = [factor for factor in factors if factor.path[0] == "method"]
    of_train = [factor for factor in factors if factor.path[0] == "train"]
    first = with_levels(arm, of_method, [factor.levels[0] for factor in of_method])
    control = control_of(first, is_sized=is_sized) if has_control else None
    if control is not None:
        for values in itertools.product(*(factor.levels for factor in of_train)):
            levels = dict(zip([x.name for x in of_train], values, strict=True))
            yield with_levels(control, of_train, values), levels


def _factor_problems(factor: Factor) -> Iterator[tuple[str, str]]:
    place = ".".join(("design.factors", *factor.path))
    seen: list[Json] = []
    for level in factor.levels:
        if any(is_same(level, other) for other in seen):
            yield place, f"has the value {shorten(repr(level))} twice; give each value once"
        seen.append(level)
    if len(factor.levels) < 2:
        yield (
            place,
            f"is {shorten(list(factor.levels))}, which does not vary; give two values or more, or "
            "set the field in the method itself",
        )
    if factor.path == ("train", "seed"):
        yield place, "is varied, but the seeds are the design's; give their number in design.seeds"
