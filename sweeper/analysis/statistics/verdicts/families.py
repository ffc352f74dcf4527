"""Which contrasts a question asks for, and how they are judged together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.analysis.statistics.questions import (
    against_control,
    all_pairs,
    difference_weights,
    factorial_effects,
    linear_weights,
    quadratic_weights,
)
from sweeper.analysis.statistics.verdicts.conclusions import Contrasted, Family
from sweeper.analysis.statistics.verdicts.spec import (
    AgainstControl,
    AllPairs,
    DeclaredPairs,
    Factorial,
    SizeTrend,
)

__all__ = ["ContrastQuestion", "DeclaredContrast", "declared_contrasts", "named", "pair_contrasts"]

ContrastQuestion = AllPairs | AgainstControl | DeclaredPairs | SizeTrend | Factorial


@dataclass(frozen=True, eq=False)
class DeclaredContrast:
    """A contrast of the configurations of a table.

    Attributes:
        contrasted: What it is.
        names: As in :class:`Conclusion`.
        weights: float64 [k].
    """

    contrasted: Contrasted
    names: tuple[str, ...]
    weights: NDArray[np.float64]


def named(question: ContrastQuestion) -> tuple[str, ...]:
    """Returns the configurations that a question names, none where it takes all."""
    match question:
        case AllPairs():
            return ()
        case AgainstControl(control):
            return (control,)
        case DeclaredPairs(pairs):
            return tuple(dict.fromkeys(name for pair in pairs for name in pair))
        case SizeTrend(sizes=sizes):
            return tuple(name for name, _ in sizes)
        case Factorial(cells):
            return tuple(name for name, _ in cells)


def declared_contrasts(
    question: ContrastQuestion, names: Sequence[str]
) -> tuple[Family, list[DeclaredContrast]]:
    """Returns the family of a question and its contrasts over the configurations of a table.

    Args:
        question: What is asked.
        names: [k], of the table's configurations. Those that are missing are left out.

    Raises:
        BadInputError: What is left does not vary.
    """
    k, places = len(names), {name: i for i, name in enumerate(names)}
    match question:
        case AllPairs():
            return "all_pairs", pair_contrasts(names, all_pairs(k))
        case AgainstControl(control):
            if control not in places:
                return "against_control", []
            return "against_control", pair_contrasts(names, against_control(k, places[control]))
        case DeclaredPairs(pairs):
            both = [(places[a], places[b]) for a, b in pairs if a in places and b in places]
            return "declared_pairs", pair_contrasts(names, both)
        case SizeTrend():
            return "size_trend", _trends(question, places)
        case Factorial():
            return "factorial", _effects(question, places)


def pair_contrasts(names: Sequence[str], pairs: list[tuple[int, int]]) -> list[DeclaredContrast]:
    """Returns the differences first − second of pairs.

    Args:
        names: [k], of what is compared.
        pairs: Places in them.
    """
    weights = difference_weights(len(names), pairs)
    return [
        DeclaredContrast("pair", (names[a], names[b]), row)
        for (a, b), row in zip(pairs, weights, strict=True)
    ]


def _trends(question: SizeTrend, places: dict[str, int]) -> list[DeclaredContrast]:
    present = [(places[name], size) for name, size in question.sizes if name in places]
    sizes = [size for _, size in present]
    if len(set(sizes)) < 2:
        return []
    names = (question.factor, f"{max(sizes):g}", f"{min(sizes):g}")
    where = [place for place, _ in present]
    found = [DeclaredContrast("line", names, _spread(linear_weights(sizes), where, len(places)))]
    if len(set(sizes)) > 2:
        weights = _spread(quadratic_weights(sizes), where, len(places))
        found.append(DeclaredContrast("bend", names, weights))
    return found


def _effects(question: Factorial, places: dict[str, int]) -> list[DeclaredContrast]:
    present = [(places[name], dict(levels)) for name, levels in question.cells if name in places]
    # Without one of its cells the means of two levels would differ by another factor, too.
    if len(present) < len(question.cells):
        return []
    where = [place for place, _ in present]
    found = []
    for effect in factorial_effects([levels for _, levels in present]):
        parts = zip(effect.factors, effect.high, effect.low, strict=True)
        names = tuple(name for part in parts for name in part)
        weights = _spread(effect.weights, where, len(places))
        kind: Contrasted = "main_effect" if len(effect.factors) == 1 else "interaction"
        found.append(DeclaredContrast(kind, names, weights))
    return found


def _spread(weights: NDArray[np.float64], where: list[int], k: int) -> NDArray[np.float64]:
    """Returns weights of some configurations as weights [k] of all of them."""
    found = np.zeros(k)
    found[where] = weights
    return found
