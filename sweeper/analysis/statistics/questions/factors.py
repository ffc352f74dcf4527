"""Contrasts of cell means: along the sizes of one factor, and over crossed factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sweeper.errors import BadInputError

__all__ = ["Effect", "factorial_effects", "linear_weights", "quadratic_weights"]

_SAME_DIRECTION = 1e-9


@dataclass(frozen=True, eq=False)
class Effect:
    """A main effect or an interaction of two factors.

    Attributes:
        factors: One name, or two.
        high: The level of each factor that is compared.
        low: The level of each that it is compared with.
        weights: float64 [k], of the cells.
    """

    factors: tuple[str, ...]
    high: tuple[str, ...]
    low: tuple[str, ...]
    weights: NDArray[np.float64]


def linear_weights(sizes: Sequence[float]) -> NDArray[np.float64]:
    """Returns the weights [k] of the straight line in log2 of the size.

    The contrast is how much the line rises from the smallest to the largest size (the linear
    orthogonal polynomial, scaled).

    Args:
        sizes: [k], positive, at least two of them different.

    Raises:
        BadInputError: They are not.
    """
    centred = _log_sizes(sizes, least=2)
    return centred * float(np.ptp(centred)) / float(centred @ centred)


def quadratic_weights(sizes: Sequence[float]) -> NDArray[np.float64]:
    """Returns the weights [k] of the bend over log2 of the size.

    The contrast is by how much the ends lie above the middle (the quadratic orthogonal polynomial,
    scaled to a difference of two weighted means).

    Args:
        sizes: [k], positive, at least three of them different.

    Raises:
        BadInputError: They are not.
    """
    centred = _log_sizes(sizes, least=3)
    square = centred**2
    square -= square.mean()
    square -= centred * float(square @ centred) / float(centred @ centred)
    return square * 2.0 / float(np.abs(square).sum())


def _log_sizes(sizes: Sequence[float], *, least: int) -> NDArray[np.float64]:
    different = len(set(sizes))
    if different < least or min(sizes) <= 0:
        listed = ", ".join(f"{size:g}" for size in sizes)
        raise BadInputError(
            f"sizes of a planned line: got {listed}; they must be positive, and {least} of them "
            "must differ; give more sizes, or ask for pairs"
        )
    logs = np.log2(np.asarray(sizes, dtype=np.float64))
    return np.asarray(logs - logs.mean())


def factorial_effects(cells: Sequence[Mapping[str, str]]) -> list[Effect]:
    """Returns the main effects and two-way interactions of crossed factors.

    Of a factor each level is compared with its first one: means over all cells that have them. An
    interaction is a difference of two differences. What the design does not have, or cannot tell
    from an effect that stands before it (an alias, in a fraction of a design), is left out.

    Args:
        cells: [k], the level of every factor; the order of levels is that of their first cell.

    Raises:
        BadInputError: Cells have other factors than the first one, or no factor varies.
    """
    levels = _levels(cells)
    effects = [
        Effect((factor,), (level,), (first,), _signs(cells, {factor: (level, first)}))
        for factor, (first, *others) in levels.items()
        for level in others
    ]
    for one, other in combinations(levels, 2):
        for high in levels[one][1:]:
            for second in levels[other][1:]:
                low = (levels[one][0], levels[other][0])
                weights = _signs(cells, {one: (high, low[0]), other: (second, low[1])})
                effects.append(Effect((one, other), (high, second), low, weights))
    kept: list[Effect] = []
    for effect in effects:
        if effect.weights.any() and not any(_alike(effect, other) for other in kept):
            kept.append(effect)
    return kept


def _levels(cells: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    factors = list(cells[0]) if cells else []
    for number, cell in enumerate(cells):
        if set(cell) != set(factors):
            raise BadInputError(
                f"factorial design: cell {number} has the factors {', '.join(cell)}; each cell "
                f"needs {', '.join(factors)}; name the level of every factor in every cell"
            )
    levels = {factor: list(dict.fromkeys(cell[factor] for cell in cells)) for factor in factors}
    varying = {factor: found for factor, found in levels.items() if len(found) > 1}
    if not varying:
        raise BadInputError(
            f"factorial design: got {len(cells)} cells in which no factor varies; at least one "
            "must; give a factor two levels"
        )
    return varying


def _signs(
    cells: Sequence[Mapping[str, str]], sides: Mapping[str, tuple[str, str]]
) -> NDArray[np.float64]:
    """Returns the weights [k] of a difference (of differences) of means; zero if a side is empty.

    Args:
        cells: [k].
        sides: By factor its level that is compared, and the one that it is compared with.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, cell in enumerate(cells):
        if all(cell[factor] in pair for factor, pair in sides.items()):
            key = tuple(pair.index(cell[factor]) for factor, pair in sides.items())
            groups.setdefault(key, []).append(number)
    weights = np.zeros(len(cells))
    if len(groups) == 2 ** len(sides):
        for key, members in groups.items():
            weights[members] = (-1.0) ** sum(key) / len(members)
    return weights


def _alike(one: Effect, other: Effect) -> bool:
    product = abs(float(one.weights @ other.weights))
    length = float(np.linalg.norm(one.weights) * np.linalg.norm(other.weights))
    return product >= length * (1.0 - _SAME_DIRECTION)
