"""ROUGE-L, by rouge-score."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics.inputs import import_library, require_pairs

__all__ = ["rouge_l"]


def rouge_l(predictions: Sequence[str], references: Sequence[str]) -> Estimate:
    """Returns the mean F-measure of the longest common subsequence (Lin 2004), without stemming.

    Raises:
        BadInputError: predictions and references do not belong together.
        MissingError: rouge-score is not installed.
    """
    require_pairs(predictions, references, "predictions and references")
    scorer = import_library("rouge_score.rouge_scorer", metric="rouge_l").RougeScorer(["rougeL"])
    pairs = zip(predictions, references, strict=True)
    return mean_estimate([float(scorer.score(want, got)["rougeL"].fmeasure) for got, want in pairs])
