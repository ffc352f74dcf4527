"""The mean of the six metrics that MoSA reports of ConvAI2."""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.estimates import Estimate
from sweeper.evaluation.metrics.averages import joint_average

__all__ = ["PARTS", "dialogue_mean"]

PARTS = (
    "bleu",
    "bert_score",
    "bert_score_recall",
    "bert_score_precision",
    "meteor",
    "rouge_l",
)
"""The metrics, as in the table's columns."""


def dialogue_mean(parts: Mapping[str, Estimate]) -> Estimate:
    """Returns the column Average of "MoSA: Mosaic Shared Adaptation of Large Language Models".

    The unweighted mean of BLEU-4, BERTScore's F1, recall and precision, METEOR and ROUGE-L (its
    section 4.1 and Table 3), from 0 to 1; the table has 100 times as much. Half of it is BERTScore,
    which is high for any English text: compare it with the same encoder and layer only.

    The six are of the same answers and rise and fall together, so their errors are not added up:
    the standard error is that of what each answer contributes to the mean, see
    :func:`sweeper.evaluation.metrics.averages.joint_average`.

    Args:
        parts: the six, by name, measured on the same examples.
    """
    return joint_average([parts[name] for name in PARTS])
