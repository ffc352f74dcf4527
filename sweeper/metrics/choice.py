"""Accuracy of choosing the answer that scores best."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.errors import DataError
from sweeper.metrics.estimates import Estimate, mean_estimate, require_pairs

__all__ = ["choice"]


def choice(scores: Sequence[Sequence[float]], gold: Sequence[int]) -> Estimate:
    """Returns the share of questions whose right answer scores highest.

    Of answers that score alike the first is chosen, as by a tool that knows no right one.

    Args:
        scores: of each question's answers, for example log-likelihoods; higher is better.
        gold: position of the right answer of each question.

    Raises:
        BadInputError: the two do not belong together.
        DataError: a right answer is not among the answers.
    """
    require_pairs(scores, gold, "scores and right answers")
    right = []
    for index, (found, wanted) in enumerate(zip(scores, gold, strict=True)):
        if not 0 <= wanted < len(found):
            raise DataError(
                f"question {index}: its right answer is number {wanted} of {len(found)} answers; "
                "it must be one of them, counted from 0; correct or remove the question"
            )
        right.append(float(max(range(len(found)), key=found.__getitem__) == wanted))
    return mean_estimate(right)
