"""Exact match of normalised texts."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics.inputs import require_pairs

__all__ = ["exact_match", "normalised"]

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+%?\.?")


def normalised(text: str) -> str:
    """Returns the text as SQuAD compares it (arXiv:1606.05250, section 6.1).

    In lower case, without punctuation and English articles, with single spaces. A text that has
    nothing else (``"+"``, ``"A"``) keeps it: two answers of this kind are not the same. A number
    keeps its sign and its decimal point, and loses commas.
    """
    lower = " ".join(text.lower().split())
    if NUMBER.fullmatch(lower):
        return lower.replace(",", "").rstrip(".").removeprefix("+")
    plain = " ".join(lower.translate(PUNCTUATION).split())
    return " ".join(ARTICLES.sub(" ", plain).split()) or plain or lower


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> Estimate:
    """Returns the share of predictions that are their reference, both normalised.

    Raises:
        BadInputError: predictions and references do not belong together.
    """
    require_pairs(predictions, references, "predictions and references")
    pairs = zip(predictions, references, strict=True)
    return mean_estimate([float(normalised(got) == normalised(want)) for got, want in pairs])
