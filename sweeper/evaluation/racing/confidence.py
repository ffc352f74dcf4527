"""Anytime-valid evidence that a mean is above a number, by betting; values in, values out.

A gambler bets on each value before it is seen, that it is larger than the null hypothesis lets the
mean be, and with money that is never borrowed. Where the null is true its capital is a non-negative
supermartingale from 1, so that it *ever* reaches 1 / level with a probability of at most ``level``
(Ville 1939), however often it is looked at. After Waudby-Smith and Ramdas, "Estimating means of
bounded random variables by betting" (arXiv:2010.09686), with two choices of our own:

* The gambler splits its capital over a few fixed fractions of the largest bet in the place of one
  that adapts. The capital then falls with the mean that is tested, value by value, so that the
  means that are not rejected are an interval.
* One capital stands against two nulls at once; see :func:`log_capital`.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Null", "log_capital", "lower_bound"]

_Floats: TypeAlias = NDArray[np.float64]

Null = Literal["stream", "population", "both"]
"""What is drawn: values of a stream with one mean; a finite population without replacement, of
which the mean is meant; or what is true of either."""

# Parts of the largest bet that cannot lose all. The best part is the bound times mean / (variance +
# mean²): 0.05 is that of a mean of 1/60 of the bound with a spread of a half of it, beyond which
# no validation split is large enough.
FRACTIONS: _Floats = np.array([0.95, 0.6, 0.35, 0.2, 0.1, 0.05])
# Halvings of an interval: it is then shorter than what float64 tells apart.
_HALVINGS = 60
# Of a sum of values, relative to the bound: a refutation must not be one of the last digit.
_ROUNDING = 1e-9


def log_capital(
    values: _Floats,
    *,
    mean: float,
    bound: float,
    population: int,
    seen: int = 0,
    null: Null = "both",
) -> _Floats:
    """Returns the logarithm of the capital after each value on which there was a bet.

    The mean of the next value, given those before, is at most c under the null: the tested mean m
    for a stream; (N m - sum of the values before) / (values left) for a population of N, of which
    what is large has been taken away. Against both nulls the bet is on the excess over the larger
    of the two, so that the capital is a supermartingale under each. A fraction f of the largest bet
    multiplies a part of the capital by 1 + f ((x + bound) / (c + bound) - 1).

    Args:
        values: [n], in the order in which they were drawn, each within ± ``bound``.
        mean: m, the largest of the null, within ± ``bound``.
        bound: above 0, known before the values on which there is a bet.
        population: N, at least n.
        seen: the first values of which the bound may have been made: without a bet. 0 to n.
        null: what the capital is evidence against.

    Returns:
        [n - seen]; infinite where no population of values within the bound has so small a mean.
    """
    centre = _centre(values, mean=mean, population=population, null=null)[seen:]
    # So much has come that what is left cannot bring the mean down again: refuted, not improbable.
    is_refuted = np.logical_or.accumulate(centre < -bound * (1 + _ROUNDING))
    stake = np.clip(centre, -bound, bound) + bound
    gain = values[seen:] + bound
    # Where nothing above the smallest value is expected, anything else refutes the null.
    odds = np.where(gain > 0, np.inf, 1.0)
    np.divide(gain, stake, out=odds, where=stake > 0)
    factors = 1.0 + FRACTIONS[:, None] * (odds - 1.0)
    capital = np.logaddexp.reduce(np.cumsum(np.log(factors), axis=1)) - math.log(len(FRACTIONS))
    return np.where(is_refuted, np.inf, capital)


def _centre(values: _Floats, *, mean: float, population: int, null: Null) -> _Floats:
    """Returns the most that the mean of each value is under the null, given those before."""
    if null == "stream":
        return np.full(len(values), mean)
    before = np.cumsum(values) - values
    left = (population * mean - before) / (population - np.arange(len(values)))
    return left if null == "population" else np.maximum(left, mean)


def lower_bound(
    values: _Floats,
    *,
    level: float,
    bound: float,
    population: int,
    seen: int = 0,
    null: Null = "both",
) -> float:
    """Returns the lower end of a confidence sequence for the mean.

    With a probability of at least 1 - ``level`` the mean is never below it, after whichever value
    it is asked for: it only rises. A mean is left out once its capital has been 1 / level. Capital
    falls with the mean, so that halving finds the end.

    Args:
        values: as :func:`log_capital` takes them, and the others, too.
        level: above 0 and below 1.
        bound: above 0.
        population: at least n.
        seen: values without a bet.
        null: ``both`` has one end for the mean of the stream and that of the population.

    Returns:
        From -``bound``, where nothing is known, to ``bound``.
    """
    low, high = -bound, bound
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        capital = log_capital(
            values, mean=middle, bound=bound, population=population, seen=seen, null=null
        )
        is_left_out = capital.max(initial=-math.inf) >= -math.log(level)
        low, high = (middle, high) if is_left_out else (low, middle)
    return low
