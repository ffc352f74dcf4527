"""Exact match of the answer that a solution ends with, a number or not, as MetaMathQA has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics.final_number import NUMBER, final_number_of
from sweeper.evaluation.metrics.inputs import require_pairs

__all__ = ["final_answer"]

MARK = "The answer is:"
"""Stands before the final answer of a solution in MetaMathQA (arXiv:2309.12284)."""
# "1,200", "$5", "50\%", "5 dollars", but neither "1/2" nor "5x".
PLAIN_NUMBER = re.compile(rf"{NUMBER.pattern} \.? \\?%? (?:\s+[^\W\d]+)* \.?", re.VERBOSE)
LEFT_OUT = re.compile(r"\\?\$|\s+")


def final_answer(predictions: Sequence[str], references: Sequence[str]) -> Estimate:
    r"""Returns the share of generations whose final answer is the reference.

    That is what the line after the first ``The answer is:`` says. Two numbers are compared as
    numbers, whatever unit follows; all else as text without white space, ``$`` and a trailing dot,
    so that ``1/2`` and ``\frac{1}{2}`` are two answers. Without these words in it, a generation
    answers a number with its final number
    (:func:`sweeper.evaluation.metrics.final_number.final_number`), and all else with its whole
    text.

    Args:
        predictions: generations.
        references: the answers alone.

    Raises:
        BadInputError: predictions and references do not belong together.
    """
    require_pairs(predictions, references, "predictions and references")
    pairs = zip(predictions, references, strict=True)
    return mean_estimate([float(_is_right(got, want)) for got, want in pairs])


def _is_right(got: str, want: str) -> bool:
    number = _number(want)
    _, mark, answer = got.partition(MARK)
    if not mark:
        return final_number_of(got) == number if number is not None else _plain(got) == _plain(want)
    answer = answer.strip().partition("\n")[0]
    return _number(answer) == number if number is not None else _plain(answer) == _plain(want)


def _number(text: str) -> Decimal | None:
    """Returns the number that a text is, None where it is more or something else."""
    plain = text.strip().replace("\\$", "$").strip("$").strip()
    return final_number_of(plain) if PLAIN_NUMBER.fullmatch(plain) else None


def _plain(text: str) -> str:
    return LEFT_OUT.sub("", text).rstrip(".")
