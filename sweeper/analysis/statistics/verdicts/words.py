"""Conclusions in words: the same ones in the terminal, in JSON and on the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.analysis.statistics.verdicts.conclusions import (
    Basis,
    BestSet,
    Conclusion,
    Needs,
    Silence,
    Statement,
)

__all__ = ["PLAIN", "POINTS", "Unit", "Words", "words"]

# More names than this no sentence holds; the document has all.
_MOST_NAMED = 24


@dataclass(frozen=True)
class Unit:
    """How differences of scores are written.

    Attributes:
        factor: What a difference is multiplied by.
        singular: The unit of exactly one; empty for none.
        plural: The unit of any other number.
    """

    factor: float
    singular: str = ""
    plural: str = ""

    def number(self, value: float, scale: float) -> str:
        """Returns a value with the decimals that its uncertainty deserves, without the unit.

        Args:
            value: In units of the scores.
            scale: Of the same size as its uncertainty: two of its digits are shown.
        """
        size = abs(scale * self.factor)
        decimals = (
            1 if not 0 < size < math.inf else min(8, max(0, 1 - math.floor(math.log10(size))))
        )
        text = f"{value * self.factor:.{decimals}f}"
        return text.removeprefix("-") if float(text) == 0 else text

    def amount(self, value: float, scale: float) -> str:
        """Returns a value with its unit; as for :meth:`number`."""
        text = self.number(value, scale)
        noun = self.singular if abs(float(text)) == 1 else self.plural
        return f"{text} {noun}" if noun else text

    def exact(self, value: float) -> str:
        """Returns a value that somebody chose, such as δ, as it was chosen."""
        noun = self.singular if round(abs(value) * self.factor, 9) == 1 else self.plural
        text = f"{value * self.factor:.3g}"
        return f"{text} {noun}" if noun else text


POINTS = Unit(100.0, "point", "points")
"""Of a score that is a fraction, such as an accuracy."""
PLAIN = Unit(1.0)
"""Of any other score, such as a loss."""

_FAMILIES = {
    "all_pairs": "all pairs",
    "declared_pairs": "declared pairs",
    "size_trend": "planned contrasts, Holm",
    "factorial": "main effects and interactions, Holm",
    "peaks_all_pairs": "all pairs at tuned rates",
    "peaks_declared_pairs": "declared pairs at tuned rates",
}


@dataclass(frozen=True)
class Words:
    """A statement as it is read.

    Attributes:
        head: The verdict itself, which a page may set in bold.
        rest: What follows it in the sentence, numbers and basis; may be empty.
        caveats: Sentences that go with it.
    """

    head: str
    rest: str
    caveats: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Returns it all as plain text; one that others follow ends with a colon."""
        parts = [f"{self.head}{self.rest}", *self.caveats]
        return " ".join(part if part.endswith((":", ".")) else f"{part}." for part in parts)


def words(statement: Statement, unit: Unit = POINTS) -> Words:
    """Returns a statement in words.

    Args:
        statement: A conclusion, a set of what may be the best, or why nothing is said.
        unit: Of its differences.
    """
    match statement:
        case Silence():
            return _silence(statement)
        case BestSet():
            return _best(statement)
        case Conclusion(kind="undecided"):
            return _undecided(statement, unit)
        case Conclusion(kind="equivalent"):
            return _equivalent(statement, unit)
        case Conclusion():
            return _difference(statement, unit)


def _difference(found: Conclusion, unit: Unit) -> Words:
    is_better = found.kind.startswith("better")
    sign = 1.0 if is_better else -1.0
    low, high = sorted(sign * end for end in found.interval)
    scale = (high - low) / 2
    amount = unit.amount(sign * found.estimate, scale)
    interval = f"[{unit.number(low, scale)}, {unit.number(high, scale)}]"
    is_small = found.kind.endswith("within_delta")
    small = f", by less than {unit.exact(found.delta)}:" if is_small else ""
    return Words(
        _head(found, is_better=is_better),
        f"{small} by {amount} {interval} ({_basis(found.basis)}, {_family(found)})",
        found.caveats,
    )


def _family(found: Conclusion) -> str:
    """Returns which comparisons hold together; of one, the control is the second of each pair."""
    match found.family:
        case "against_control":
            return f"all against {found.names[1]}"
        case "peaks_against_control":
            return f"all against {found.names[1]} at tuned rates"
        case "declared_pairs" | "peaks_declared_pairs" if found.basis.members == 1:
            return _FAMILIES[found.family].replace("declared pairs", "one declared pair")
        case _:
            return _FAMILIES[found.family]


def _head(found: Conclusion, *, is_better: bool) -> str:
    side = "better" if is_better else "worse"
    match found.contrasted:
        case "pair":
            return f"{found.names[0]} is {side} than {found.names[1]}"
        case "line":
            factor, high, low = found.names
            return f"{factor} {high} is {side} than {factor} {low} on the line through all sizes"
        case "bend":
            factor = found.names[0]
            return f"The ends of {factor} are {side} than its middle"
        case "main_effect":
            factor, high, low = found.names
            return f"{factor}={high} is {side} than {factor}={low}"
        case "interaction":
            one, high, low, other, second, first = found.names
            return (
                f"{one}={high} against {one}={low} is {side} at {other}={second} than at "
                f"{other}={first}"
            )


def _subject(found: Conclusion) -> str:
    """Returns what a conclusion without a direction is about."""
    match found.contrasted:
        case "pair":
            return f"{found.names[0]} and {found.names[1]}"
        case "line":
            factor, high, low = found.names
            return f"{factor} {high} and {factor} {low} on the line through all sizes"
        case "bend":
            return f"the ends and the middle of {found.names[0]}"
        case "main_effect":
            factor, high, low = found.names
            return f"{factor}={high} and {factor}={low}"
        case "interaction":
            one, high, low, other, second, first = found.names
            return f"{one}={high} against {one}={low} at {other}={second} and at {other}={first}"


def _equivalent(found: Conclusion, unit: Unit) -> Words:
    low, high = found.equivalence_interval
    scale = (high - low) / 2
    interval = f"[{unit.number(low, scale)}, {unit.number(high, scale)}]"
    basis = _basis(found.basis, level=found.equivalence_level)
    return Words(
        f"Equivalent within {unit.exact(found.delta)}",
        f": {_subject(found)} differ by {unit.amount(found.estimate, scale)} {interval} "
        f"({basis}, two one-sided tests)",
        found.caveats,
    )


def _undecided(found: Conclusion, unit: Unit) -> Words:
    low, high = found.interval
    largest = max(abs(low), abs(high))
    return Words(
        "Not distinguishable yet",
        f": {_subject(found)}; differences up to {unit.amount(largest, (high - low) / 2)} are "
        f"possible{_needed(found.needs, unit.exact(found.delta), found.basis)} "
        f"({_basis(found.basis)}, {_family(found)})",
        found.caveats,
    )


def _needed(needs: Needs | None, delta: str, basis: Basis) -> str:
    """Returns what finds δ; nothing where there is enough already and chance was against it."""
    if needs is None:
        return ""
    start = f"; to find {delta}: "
    if needs.closer_rates:
        return f"{start}no number of seeds; needs rates closer together"
    seeds = f"about {needs.seeds} more {'seed' if needs.seeds == 1 else 'seeds'}"
    if needs.rows is None:
        return start + (seeds if needs.seeds else "more than 200 seeds")
    rows = f"{_rounded(needs.rows)} rows"
    if needs.seeds:
        return f"{start}{seeds} and {rows}"
    return f"{start}{'' if basis.claim == 'adapters' else 'no number of seeds; '}needs {rows}"


def _best(found: BestSet) -> Words:
    family = "at tuned rates" if found.of_methods else "comparisons with the best"
    basis = f" ({_basis(found.basis)}, {family})"
    if found.winner is not None:
        return Words(f"The best is {found.winner}", basis, found.caveats)
    names = found.members[:_MOST_NAMED]
    more = len(found.members) - len(names)
    rest = f" and {more:,} more" if more else ""
    return Words(f"The best is among {{{_listed(names)}{rest}}}", basis, found.caveats)


def _listed(names: Sequence[str]) -> str:
    """Returns names one after another; those of several values have commas of their own."""
    return ("; " if any(", " in name for name in names) else ", ").join(names)


def _silence(found: Silence) -> Words:
    names = _listed(found.names)
    match found.reason:
        case "all_one_seed":
            return Words("Nothing is said of configurations", "; as adapters:")
        case "no_second_seed":
            return Words("Nothing is said of configurations", ": each has one seed; 2 are needed")
        case "one_seed":
            has = "has" if len(found.names) == 1 else "have"
            return Words("Nothing is said", f" of {names}, which {has} one seed; 2 are needed")
        case "too_few":
            left = f"; only {names} is left" if len(found.names) == 1 else ""
            return Words("Nothing is compared", f": it takes two{left}")
        case "missing":
            return Words("Nothing is said", f" of {names}: no scores that can be compared")
        case "no_control":
            return Words("Nothing is compared", f" with {names}, of which nothing is said")
        case "edge":
            return Words(
                "Range too narrow",
                f": the best value of {names}, {found.detail}, is an end of its grid; nothing is "
                "said of it; widen the range",
            )
        case "grid":
            return Words(
                "Nothing is said", f" of {names}: only {found.detail} were scored; 3 are needed"
            )


def _basis(basis: Basis, level: float | None = None) -> str:
    percent = 100.0 * (basis.level if level is None else level)
    # A search is judged on the rows that chose; all else on test.
    noun = "validation rows" if basis.split == "validation" else "rows"
    rows = f"{'these ' if basis.fixed_rows else ''}{basis.rows:,} {noun}"
    if basis.claim == "adapters":
        return f"{percent:.3g} %, as adapters, {rows}"
    low, high = basis.seeds
    seeds = f"{low}" if low == high else f"{low} to {high}"
    return f"{percent:.3g} %, {seeds} seeds × {rows}"


def _rounded(rows: int) -> str:
    """Returns a number of rows to two digits, upwards."""
    unit = 10 ** max(0, len(str(rows)) - 2)
    return f"{math.ceil(rows / unit) * unit:,}"
