"""Learning rates relative to the model's own: factors of the rate that a profile gives.

A range of learning rates belongs to a model: what suits one of a million parameters makes one of
eight billion diverge. ``train.learning_rate: {logfactor: [0.1, 10]}`` in a search space is a tenth
to ten times the rate that the profile has, so that the space can be run on any model.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from sweeper._spec import Spec
from sweeper._text import shorten
from sweeper.experiment.documents.tree import Document, Json, get_path, set_path

__all__ = ["LogFactor", "number_of", "rates_between", "require_order", "resolve_factors"]

_RATE = ("train", "learning_rate")
# Ends of a range are written with as many digits: 0.0333 times 3e-3 is meant as 1e-4.
_DIGITS = 2

_Factor = Annotated[float, Field(gt=0, le=10_000)]


class LogFactor(Spec):
    """A range around the profile's rate: ``train.learning_rate: {logfactor: [0.1, 10]}``.

    It is ``loguniform`` from the first factor times the profile's ``train.learning_rate`` to the
    second one times it, both rounded to two digits. It stands for ``train.learning_rate`` alone,
    and in a file that has a profile.
    """

    logfactor: tuple[_Factor, _Factor]
    """Lowest and highest factor, above 0 and at most 10,000."""

    @model_validator(mode="after")
    def _ends_are_in_order(self) -> LogFactor:
        require_order(self.logfactor)
        return self


def require_order(factors: tuple[float, float]) -> None:
    """Looks whether the first of two factors is the smaller one.

    Raises:
        ValueError: it is not.
    """
    if factors[0] >= factors[1]:
        raise ValueError(
            f"logfactor is [{factors[0]:g}, {factors[1]:g}], which is empty; give [low, high] with "
            "low below high"
        )


def rates_between(factors: tuple[float, float], rate: float) -> tuple[float, float]:
    """Returns the ends of a range of rates, rounded to two digits.

    Args:
        factors: lowest and highest.
        rate: that they are factors of, above 0.
    """
    low, high = (float(f"{factor * rate:.{_DIGITS}g}") for factor in factors)
    return low, high


def number_of(rate: Json) -> float | None:
    """Returns a rate of a document as a number above 0, None where it is none."""
    is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
    return float(rate) if is_number and float(rate) > 0 else None  # type: ignore[arg-type]


def resolve_factors(document: Document, *, rate: Json) -> Document:
    """Returns a document with rates in the place of factors; without factors as it is.

    Args:
        document: a search space over its profile.
        rate: the profile's ``train.learning_rate``; None where it gives none.

    Raises:
        ValueError: the factors cannot be read, or there is no rate that they are of.
    """
    found = get_path(document, _RATE)
    if not isinstance(found, dict) or "logfactor" not in found:
        return document
    factors = LogFactor.model_validate(found).logfactor
    number = number_of(rate)
    if number is None:
        said = "there is none" if rate is None else f"it is {shorten(repr(rate))}"
        raise ValueError(
            f"got {shorten(found)}, factors of the profile's train.learning_rate, but {said}; they "
            "need a number above 0; give it in the profile, or write the rates themselves: "
            "{loguniform: [low, high]}"
        )
    changed = set_path(document, _RATE, {"loguniform": [*rates_between(factors, number)]})
    assert isinstance(changed, dict)
    return changed
