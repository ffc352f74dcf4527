"""Exact match of the number that a solution ends with, as GSM8K is scored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from sweeper.errors import DataError
from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics.inputs import require_pairs

__all__ = ["final_number", "final_number_of"]

NUMBER = re.compile(
    r"""
    (?P<minus>(?<![\w.,)\]])[-\u2212])?  # not the dash of "3-4", nor that of a list, "- 3"
    (?:[$€£]\s?)?
    (?P<digits>
        \d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?  # 1,200.50
      | \d+(?:\.\d+)?                       # 1200.50, and the 1200 of "1200."
      | (?<!\d)\.\d+                        # .5
    )
    """,
    re.VERBOSE,
)
MARK = "####"
"""Stands before the final number of a solution in GSM8K (arXiv:2110.14168)."""


def final_number_of(text: str) -> Decimal | None:
    """Returns the last number of a text, None where it has none.

    Thousands separators, signs of currency and a trailing dot are not part of its value. Where the
    text has ``####``, the first number after the first of them counts: what a model writes when it
    should have stopped does not.
    """
    head, _, tail = text.partition(MARK)
    after = list(NUMBER.finditer(tail))
    if after:
        return _value(after[0])
    before = list(NUMBER.finditer(head))
    return _value(before[-1]) if before else None


def final_number(predictions: Sequence[str], references: Sequence[str]) -> Estimate:
    """Returns the share of generations whose final number is that of the reference.

    Args:
        predictions: generations.
        references: solutions that end in ``#### number``, or the numbers alone.

    Raises:
        BadInputError: predictions and references do not belong together.
        DataError: a reference has no number.
    """
    require_pairs(predictions, references, "predictions and references")
    right = []
    for index, (got, reference) in enumerate(zip(predictions, references, strict=True)):
        want = final_number_of(reference)
        if want is None:
            raise DataError(
                f"reference {index} has no number: got {reference!r}; it must end in one, after "
                f"{MARK!r} as in GSM8K or alone; correct or remove the example"
            )
        right.append(float(final_number_of(got) == want))
    return mean_estimate(right)


def _value(match: re.Match[str]) -> Decimal:
    value = Decimal(match["digits"].replace(",", ""))
    return -value if match["minus"] else value
