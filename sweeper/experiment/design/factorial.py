"""Two values of each of some fields: all combinations, or a balanced part of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import ClassVar, Literal

from sweeper._text import shorten
from sweeper.experiment.design.arms import control_of
from sweeper.experiment.design.base import DesignFile, configuration_of, values_name
from sweeper.experiment.design.factors import FactorDesign, with_levels
from sweeper.experiment.design.plan import Configuration, DesignPlan, Question

__all__ = ["FactorialDesign", "aliases_of", "signs_of"]

MOST_FACTORS = 8
# Of each number of factors the two last ones in a quarter: products of the others, by their places
# (Box, Hunter and Hunter 1978, table 12.15: the highest resolution that there is).
QUARTERS = {
    5: ((0, 1), (0, 2)),
    6: ((0, 1, 2), (1, 2, 3)),
    7: ((0, 1, 2, 3), (0, 1, 3, 4)),
    8: ((0, 1, 2, 3), (0, 1, 4, 5)),
}


class FactorialDesign(FactorDesign):
    """Two values of each factor: all combinations, or a half or a quarter of them.

    It answers what each factor does by itself, and what two do together that they do not do alone.
    In a part of the combinations some effects cannot be told apart: `plan` lists them.
    """

    question: ClassVar[Question] = "effects"

    kind: Literal["factorial"] = "factorial"
    """Tag of this design."""
    fraction: Literal["full", "half", "quarter"] = "full"
    """Which part of the combinations is trained. A half needs 3 factors, a quarter 5."""

    def problems(self, file: DesignFile) -> Iterator[tuple[str, str]]:
        """Yields (field, message) for all that is wrong with the design of a file."""
        yield from super().problems(file)
        yield from self._one_method(file, self.kind)
        factors = self.factors.all()
        least = {"full": 2, "half": 3, "quarter": 5}[self.fraction]
        if not least <= len(factors) <= MOST_FACTORS:
            yield (
                "design.factors",
                f"are {len(factors)}; a {self.fraction} factorial has {least} to {MOST_FACTORS}; "
                "give as many, or take a design one_factor or grid",
            )
        for factor in factors:
            if len(factor.levels) > 2:
                yield (
                    ".".join(("design.factors", *factor.path)),
                    f"has the values {shorten(list(factor.levels))}; a factorial has two of each "
                    "factor; give two, or take a design grid",
                )

    def plan(self, file: DesignFile) -> DesignPlan:
        """Returns the combinations, the first values first, and the control arm of the first."""
        found = self._plan_of(self._configurations(file), kind=self.kind)
        return replace(found, factors=self.factors.all())

    def _configurations(self, file: DesignFile) -> Iterator[Configuration]:
        (arm,), factors = file.arms, self.factors.all()
        names = [factor.name for factor in factors]
        together = aliases_of(len(factors), self.fraction, names)
        answers = "main effects and what two factors do together"
        if together:
            answers += f"; not told apart: {'; '.join(together)}"
        control = None
        for signs in signs_of(len(factors), self.fraction):
            values = [x.levels[sign > 0] for x, sign in zip(factors, signs, strict=True)]
            cell = with_levels(arm, factors, values)
            if control is None and self.control == "added":
                control = control_of(cell, is_sized=file.is_sized)
            yield configuration_of(
                cell,
                name=values_name(names, values),
                answers=answers,
                levels=dict(zip(names, values, strict=True)),
            )
        if control is not None:
            yield configuration_of(control, name=control.name, answers="")


def signs_of(factors: int, fraction: str) -> tuple[tuple[int, ...], ...]:
    """Returns for each combination -1 or 1 of each factor: its first or its second value.

    Args:
        factors: how many there are.
        fraction: ``full``, ``half`` or ``quarter``.
    """
    generators = _generators(factors, fraction)
    free = itertools.product((-1, 1), repeat=factors - len(generators))
    return tuple((*signs, *(prod(signs[x] for x in made) for made in generators)) for signs in free)


def aliases_of(factors: int, fraction: str, names: Sequence[str]) -> list[str]:
    """Returns which main effects and effects of two factors have one contrast, a text each.

    Args:
        factors: how many there are.
        fraction: ``full``, ``half`` or ``quarter``.
        names: of the factors.
    """
    runs = signs_of(factors, fraction)
    effects = [
        *itertools.combinations(range(factors), 1),
        *itertools.combinations(range(factors), 2),
    ]
    by_contrast: dict[tuple[int, ...], list[str]] = {}
    for effect in effects:
        contrast = tuple(prod(signs[x] for x in effect) for signs in runs)
        # A contrast and its opposite are one.
        key = min(contrast, tuple(-x for x in contrast))
        by_contrast.setdefault(key, []).append(" x ".join(names[x] for x in effect))
    return [" = ".join(found) for found in by_contrast.values() if len(found) > 1]


def _generators(factors: int, fraction: str) -> tuple[tuple[int, ...], ...]:
    if fraction == "half":
        return (tuple(range(factors - 1)),)
    return QUARTERS[factors] if fraction == "quarter" else ()
