"""Share of generations that name the right option, as LLM-Adapters reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sweeper.errors import DataError
from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics.inputs import require_pairs

__all__ = ["option", "option_of"]

# ``extract_answer`` of LLM-Adapters, which has one pattern for each of the eight sets; the five
# answers of the third are looked for where a question has fewer, too.
# https://github.com/AGI-Edgerunners/LLM-Adapters/blob/e0efdc0e8bb43875201e24528d3ee0fe2595876d/commomsense_evaluate.py
NAMES = tuple(
    re.compile(names)
    for names in ("true|false", "solution[12]", "answer[1-5]", "ending[1-4]", "option[12]")
)


def option_of(text: str, *, like: str) -> str | None:
    """Returns the first option that a text names, None where it names none.

    As in LLM-Adapters it need not be a word of its own, and must be in small letters.

    Args:
        text: what a model wrote.
        like: an option of the same question, which tells the others: beside ``true`` there is
            ``false``, beside ``answer2`` there are ``answer1`` to ``answer5``.

    Raises:
        ValueError: ``like`` is no option.
    """
    for names in NAMES:
        if names.fullmatch(like):
            found = names.search(text)
            return found[0] if found else None
    known = ", ".join(names.pattern for names in NAMES)
    raise ValueError(f"{like!r} is no option; options are {known}; name one of these")


def option(predictions: Sequence[str], references: Sequence[str]) -> Estimate:
    """Returns the share of generations whose first option is the one that the reference ends in.

    A generation without an option is wrong.

    Args:
        predictions: generations.
        references: such as ``the correct answer is answer2``, or the options alone.

    Raises:
        BadInputError: predictions and references do not belong together.
        DataError: a reference does not end in an option.
    """
    require_pairs(predictions, references, "predictions and references")
    right = []
    for index, (got, reference) in enumerate(zip(predictions, references, strict=True)):
        want = reference.rpartition(" ")[2]
        try:
            right.append(float(option_of(got, like=want) == want))
        except ValueError as error:
            raise DataError(
                f"reference {index} does not end in an option: got {reference!r}; {error}, or "
                "score the example by another metric"
            ) from error
    return mean_estimate(right)
